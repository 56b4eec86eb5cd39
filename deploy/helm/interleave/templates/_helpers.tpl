{{- define "interleave.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "interleave.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- else if contains (include "interleave.name" .) .Release.Name -}}
{{- .Release.Name | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "interleave.name" .) | trunc 57 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "interleave.selector" -}}
app.kubernetes.io/name: {{ include "interleave.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "interleave.labels" -}}
{{ include "interleave.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "interleave.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "interleave.isFleet" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) }}true{{ end -}}
{{- end -}}

{{/* What a schema cannot say: which values need one another. */}}
{{- define "interleave.check" -}}
{{- $values := .Values -}}
{{- if include "interleave.isFleet" . -}}
{{- if not $values.redis.urlSecret.name -}}
{{- fail "redis.urlSecret.name: expected a Secret with the URL of the Redis that all nodes share, because there is more than one node; set it, or replicas: 1 without autoscaling" -}}
{{- end -}}
{{- if not $values.storage.url -}}
{{- fail "storage.url: expected s3://bucket/prefix, because there is more than one node and all must see the same files; set it, or replicas: 1 without autoscaling" -}}
{{- end -}}
{{- if $values.data.claim -}}
{{- fail "data.claim: one node only can use it; leave it out, files are at storage.url" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.access.mode "required") (not $values.access.keysSecret) (not (dig "access" "oidc" "" $values.config)) -}}
{{- fail "access.keysSecret: expected a Secret with keys.json, or config.access.oidc, because callers must show a key and the node does not start without; make keys with `interleave keys add`, or set access.mode: open if NetworkPolicies keep others out" -}}
{{- end -}}
{{- if ne (empty $values.redis.sentinel.nodes) (empty $values.redis.sentinel.name) -}}
{{- fail "redis.sentinel: expected nodes and name together; set both or neither" -}}
{{- end -}}
{{- if and $values.redis.sentinel.nodes (not $values.redis.urlSecret.name) -}}
{{- fail "redis.urlSecret.name: expected a Secret with user, password and scheme for the Redis that the sentinels name; set it, or leave out redis.sentinel" -}}
{{- end -}}
{{- if $values.serviceMonitor.enabled -}}
{{- if and (ne $values.access.mode "open") (not $values.serviceMonitor.keySecret.name) -}}
{{- fail "serviceMonitor.keySecret.name: expected a Secret with an operator's key, because /metrics is for operators; set it, or access.mode: open" -}}
{{- end -}}
{{- if and $values.tls.clientCa (not $values.serviceMonitor.clientCertSecret) -}}
{{- fail "serviceMonitor.clientCertSecret: expected a Secret with a certificate for Prometheus, because tls.clientCa is set" -}}
{{- end -}}
{{- end -}}
{{- if and $values.tls.clientCa (not $values.tls.secret) -}}
{{- fail "tls.secret: expected a Secret because tls.clientCa is set; set it, or tls.clientCa: false" -}}
{{- end -}}
{{- if $values.autoscaling.enabled -}}
{{- if not $values.autoscaling.prometheusAddress -}}
{{- fail "autoscaling.prometheusAddress: expected the URL of the Prometheus that scrapes the nodes, because autoscaling.enabled is set" -}}
{{- end -}}
{{- if lt (int $values.autoscaling.maxReplicas) (int $values.autoscaling.minReplicas) -}}
{{- fail "autoscaling.maxReplicas: expected at least minReplicas" -}}
{{- end -}}
{{- end -}}
{{- $surge := toString $values.rollingUpdate.maxSurge | trimSuffix "%" -}}
{{- $unavailable := toString $values.rollingUpdate.maxUnavailable | trimSuffix "%" -}}
{{- if and (eq $surge "0") (eq $unavailable "0") -}}
{{- fail "rollingUpdate: expected maxSurge or maxUnavailable above 0, or no node could ever be replaced" -}}
{{- end -}}
{{- end -}}
