{{- define "interleave.env" -}}
{{- $values := .Values -}}
- name: NODE_ID
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: NODE_ADDRESS
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- { name: DRAIN_WAIT_MS, value: {{ mul $values.drain.waitSeconds 1000 | quote }} }
- { name: ACCESS, value: {{ $values.access.mode }} }
- { name: LOG_LEVEL, value: {{ $values.logLevel }} }
{{- if $values.config }}
- { name: CONFIG, value: /etc/interleave/config/interleave.yaml }
{{- end }}
{{- with $values.redis.urlSecret }}
{{- if .name }}
- name: REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ .name }}, key: {{ .key }} } }
{{- end }}
{{- end }}
{{- with $values.redis.sentinel }}
{{- if .nodes }}
- { name: REDIS_SENTINELS, value: {{ join "," .nodes | quote }} }
- { name: REDIS_SENTINEL_NAME, value: {{ .name | quote }} }
{{- end }}
{{- end }}
{{- with $values.storage }}
{{- if .url }}
- { name: STORAGE_URL, value: {{ .url | quote }} }
{{- end }}
{{- if .endpoint }}
- { name: AWS_ENDPOINT_URL_S3, value: {{ .endpoint | quote }} }
{{- end }}
{{- if .region }}
- { name: AWS_REGION, value: {{ .region | quote }} }
{{- end }}
{{- if .credentialsSecret }}
{{- $secret := .credentialsSecret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ . }} } }
{{- end }}
{{- end }}
{{- end }}
{{- if $values.tls.secret }}
- { name: TLS_CERT_FILE, value: /etc/interleave/tls/tls.crt }
- { name: TLS_KEY_FILE, value: /etc/interleave/tls/tls.key }
{{- if $values.tls.clientCa }}
- { name: TLS_CLIENT_CA_FILE, value: /etc/interleave/tls/ca.crt }
{{- end }}
{{- end }}
{{- with $values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A limit on CPU would count the batch lane's time too: with the static manager only, where it takes nothing away. */}}
{{- define "interleave.resources" -}}
requests:
  cpu: {{ .Values.cpu }}
  memory: {{ .Values.memory }}
limits:
  {{- if eq .Values.cpuManager "static" }}
  cpu: {{ .Values.cpu }}
  {{- end }}
  memory: {{ .Values.memory }}
{{- end -}}

{{- define "interleave.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  {{- with .Values.capabilities }}
  add:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The kubelet has no certificate to show: where callers need one, the node's own socket is asked. */}}
{{- define "interleave.probe" -}}
{{- if .root.Values.tls.clientCa -}}
exec:
  command: [node, bin/health.cjs, api{{ if hasSuffix "ready" .path }}, --ready{{ end }}]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- if .root.Values.tls.secret }}
  scheme: HTTPS
  {{- end }}
{{- end -}}
{{- end -}}
