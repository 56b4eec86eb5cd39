#!/usr/bin/env python3
"""Makes the JSON schemas beside this file, which kubeconform reads, out of what the projects publish (README.md says what).

    make.py --core <api__v1_openapi.json> --apps <apis__apps__v1_openapi.json> --kserve <folder of CRDs> --catalog <CRDs-catalog>

Descriptions go, unknown keys are refused, and of the large ones only the parts stay that our documents use. Needs PyYAML.
"""
import argparse
import json
import pathlib

import yaml

HERE = pathlib.Path(__file__).parent
INT_OR_STRING = {'oneOf': [{'type': 'integer'}, {'type': 'string'}]}
SELECTOR = 'io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector'
META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
#: What no document of ours may have: the API server writes it.
WRITTEN_BY_SERVER = {'status', 'managedFields'}
#: Of an InferenceService only a predictor with a model is kept, of the many frameworks only `model`.
PREDICTOR_MODEL_ONLY = {
    *('sklearn', 'xgboost', 'tensorflow', 'pytorch', 'triton', 'onnx', 'huggingface', 'pmml', 'lightgbm', 'paddle', 'workerSpec'),
    *('ephemeralContainers', 'initContainers', 'containers', 'volumes', 'affinity'),
}
SPEC_PARTS_UNUSED = {'explainer', 'transformer', 'workerSpec', 'affinity', 'volumes', 'storageHelper', 'builtInAdapter'}


def strict(node, drop=frozenset()):
    """Without what is only for people or the API server; objects with named keys take no others."""
    if isinstance(node, list):
        return [strict(each, drop) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get('x-kubernetes-int-or-string') or node.get('format') == 'int-or-string':
        return INT_OR_STRING
    out = {}
    for key, value in node.items():
        if key == 'properties':
            out[key] = {name: strict(each, drop) for name, each in value.items() if name not in drop}
        elif key == '$ref':
            out[key] = value.replace('#/components/schemas/', '#/definitions/')
        elif key == 'allOf' and len(value) == 1 and '$ref' in value[0]:
            return strict(value[0], drop)
        elif not key.startswith('x-') and key not in ('description', 'default', 'format', 'title'):
            out[key] = strict(value, drop)
    if 'required' in out:
        # Keys of a list that have a default need not be written.
        defaults = {name for name, each in node.get('properties', {}).items() if 'default' in each}
        required = [name for name in out.pop('required') if name not in defaults | drop]
        out |= {'required': required} if required else {}
    if 'properties' in out and not node.get('x-kubernetes-preserve-unknown-fields'):
        out.setdefault('additionalProperties', False)
    return out


def references(node):
    if isinstance(node, dict):
        return {value.rsplit('/', 1)[-1] for key, value in node.items() if key == '$ref'}.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def with_definitions(schema, definitions):
    """The schema with every definition that it reaches."""
    reached, wanted = {}, references(schema)
    while wanted - reached.keys():
        for name in wanted - reached.keys():
            reached[name] = definitions[name]
            wanted = wanted | references(definitions[name])
    return {**schema, 'definitions': reached}


def kind_of(kind, api_version, spec):
    """A kind that the documents of `client-go` leave out: `spec` is by k8s.io/api."""
    properties = {'apiVersion': {'enum': [api_version]}, 'kind': {'enum': [kind]}, 'metadata': ref(META), 'spec': obj(spec)}
    return {'type': 'object', 'required': list(properties), 'properties': properties, 'additionalProperties': False}


def ref(name):
    return {'$ref': f'#/definitions/{name}'}


def obj(properties, required=()):
    needed = {'required': list(required)} if required else {}
    return {'type': 'object', 'properties': properties, 'additionalProperties': False, **needed}


def array(items):
    return {'type': 'array', 'items': items}


def network_policy():
    port = obj({'port': INT_OR_STRING, 'endPort': {'type': 'integer'}, 'protocol': {'enum': ['TCP', 'UDP', 'SCTP']}})
    block = obj({'cidr': {'type': 'string'}, 'except': array({'type': 'string'})}, ['cidr'])
    peers = array(obj({'podSelector': ref(SELECTOR), 'namespaceSelector': ref(SELECTOR), 'ipBlock': block}))
    return {
        'podSelector': ref(SELECTOR),
        'policyTypes': array({'enum': ['Ingress', 'Egress']}),
        'ingress': array(obj({'from': peers, 'ports': array(port)})),
        'egress': array(obj({'to': peers, 'ports': array(port)})),
    }


def prometheus_rule():
    texts = {'type': 'object', 'additionalProperties': {'type': 'string'}}
    text = {'type': 'string'}
    rule = {'alert': text, 'record': text, 'expr': INT_OR_STRING, 'for': text, 'keep_firing_for': text, 'labels': texts, 'annotations': texts}
    return {'groups': array(obj({'name': text, 'interval': text, 'rules': array(obj(rule, ['expr']))}, ['name']))}


def budget():
    policy = {'enum': ['IfHealthyBudget', 'AlwaysAllow']}
    amounts = {'minAvailable': INT_OR_STRING, 'maxUnavailable': INT_OR_STRING}
    return {**amounts, 'selector': ref(SELECTOR), 'unhealthyPodEvictionPolicy': policy}


def save(name, schema):
    (HERE / f'{name}.json').write_text(json.dumps(schema, separators=(',', ':'), sort_keys=True) + '\n')


def top(schema):
    """Kind and version are what make a document the one that it is."""
    return {**schema, 'required': sorted({*schema.get('required', []), 'apiVersion', 'kind', 'metadata'})}


def core_kinds(core_path, apps_path, pod_template):
    documents = [json.loads(pathlib.Path(path).read_text())['components']['schemas'] for path in (core_path, apps_path)]
    definitions = {name: strict(schema, WRITTEN_BY_SERVER) for each in documents for name, schema in each.items()}
    definitions = {name: INT_OR_STRING if name.endswith('.IntOrString') else each for name, each in definitions.items()}
    # Those documents are of a release that had no `sleep`; KEDA's ScaledJob has the pod template of a later one.
    template = strict(pod_template, WRITTEN_BY_SERVER)
    template['properties']['metadata'] = ref(META)
    definitions['io.k8s.api.core.v1.PodTemplateSpec'] = template
    wanted = {
        'deployment-apps-v1': 'io.k8s.api.apps.v1.Deployment',
        'service-v1': 'io.k8s.api.core.v1.Service',
        'serviceaccount-v1': 'io.k8s.api.core.v1.ServiceAccount',
        'configmap-v1': 'io.k8s.api.core.v1.ConfigMap',
    }
    for name, definition in wanted.items():
        save(name, with_definitions(top(definitions[definition]), definitions))
    save('poddisruptionbudget-policy-v1', with_definitions(kind_of('PodDisruptionBudget', 'policy/v1', budget()), definitions))
    rules = kind_of('PrometheusRule', 'monitoring.coreos.com/v1', prometheus_rule())
    save('prometheusrule-monitoring-v1', with_definitions(rules, definitions))
    policy = kind_of('NetworkPolicy', 'networking.k8s.io/v1', network_policy())
    save('networkpolicy-networking-v1', with_definitions(policy, definitions))


def crd_kind(path, version, name, drop):
    document = yaml.safe_load(pathlib.Path(path).read_text())
    [schema] = [each['schema']['openAPIV3Schema'] for each in document['spec']['versions'] if each['name'] == version]
    save(name, top(strict(schema, drop | WRITTEN_BY_SERVER)))


def main():
    parser = argparse.ArgumentParser()
    for option in ('core', 'apps', 'kserve', 'catalog'):
        parser.add_argument(f'--{option}', required=True)
    args = parser.parse_args()
    kserve, catalog = pathlib.Path(args.kserve), pathlib.Path(args.catalog)
    job = json.loads((catalog / 'keda.sh/scaledjob_v1alpha1.json').read_text())
    core_kinds(args.core, args.apps, job['properties']['spec']['properties']['jobTargetRef']['properties']['template'])
    crd_kind(kserve / 'clusterservingruntimes.yaml', 'v1alpha1', 'clusterservingruntime-serving-v1alpha1', SPEC_PARTS_UNUSED - {'volumes'})
    crd_kind(kserve / 'inferenceservices.yaml', 'v1beta1', 'inferenceservice-serving-v1beta1', SPEC_PARTS_UNUSED | PREDICTOR_MODEL_ONLY)
    for path, name in (
        ('keda.sh/scaledobject_v1alpha1.json', 'scaledobject-keda-v1alpha1'),
        ('keda.sh/triggerauthentication_v1alpha1.json', 'triggerauthentication-keda-v1alpha1'),
        ('monitoring.coreos.com/servicemonitor_v1.json', 'servicemonitor-monitoring-v1'),
    ):
        save(name, top(strict(json.loads((catalog / path).read_text()), WRITTEN_BY_SERVER)))


main()
