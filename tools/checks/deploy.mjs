// Checks deploy/helm and deploy/kserve without a cluster: helm lint, helm template, and kubeconform by the schemas in deploy/schemas;
// what the documents must say of one another; and that wrong values and wrong documents are refused. HELM and KUBECONFORM: the programs.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const root = fileURLToPath(new URL('../..', import.meta.url));
const chart = join(root, 'deploy/helm/interleave');
const schemas = join(root, 'deploy/schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json');
const { HELM = 'helm', KUBECONFORM = 'kubeconform' } = process.env;
/** What a node takes at most to finish once it refuses (apps/scheduler). */
const NODE_DRAIN_SECONDS = 30;

let passed = 0;
const failures = [];

function check(what, test) {
  try {
    test();
    passed += 1;
  } catch (error) {
    failures.push(`${what}: ${error.message}`);
    console.log(`FAILED ${what}: ${error.message}`);
  }
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Standard output; throws with what the program wrote. */
function run(program, args, input = '') {
  try {
    return execFileSync(program, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${basename(program)} ${args[0]}: ${error.stdout ?? ''}${error.stderr ?? error.message}`.trim());
  }
}

const template = (...args) => run(HELM, ['template', 'test', chart, '--namespace', 'serving', '--kube-version', '1.34.0', ...args]);
const conform = (text) => run(KUBECONFORM, ['-strict', '-summary', '-schema-location', schemas, '-'], text);
const parse = (text) =>
  parseAllDocuments(text)
    .map((document) => document.toJS())
    .filter((document) => document !== null);
const ofKind = (documents, kind) => documents.filter((document) => document.kind === kind);

function refused(what, pattern, test) {
  check(what, () => {
    let message = null;
    try {
      test();
    } catch (error) {
      ({ message } = error);
    }
    expect(message !== null, 'expected a refusal');
    expect(pattern.test(message), `expected ${pattern} but received: ${message}`);
  });
}

/** What holds whatever the values are. */
function checkDocuments(documents) {
  const [deployment] = ofKind(documents, 'Deployment');
  const { spec: pod, metadata } = deployment.spec.template;
  const [node] = pod.containers;
  const labels = Object.entries(deployment.spec.selector.matchLabels);
  expect(
    labels.every(([name, value]) => metadata.labels[name] === value),
    'the selector does not find the pods',
  );
  for (const service of ofKind(documents, 'Service'))
    for (const { targetPort } of service.spec.ports)
      expect(
        node.ports.some(({ name }) => name === targetPort),
        `no port ${targetPort}`,
      );
  const environment = Object.fromEntries(node.env.map(({ name, value }) => [name, value]));
  const drainSeconds = node.lifecycle.preStop.sleep.seconds + Number(environment.DRAIN_WAIT_MS) / 1000 + NODE_DRAIN_SECONDS;
  expect(pod.terminationGracePeriodSeconds > drainSeconds, 'the kubelet kills the node while it drains');
  for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
    const { securityContext: security, resources } = container;
    expect(security.readOnlyRootFilesystem && !security.allowPrivilegeEscalation, `${container.name}: not confined`);
    expect(security.capabilities.drop.includes('ALL'), `${container.name}: has capabilities`);
    const { limits, requests } = resources;
    const isGuaranteed = limits.cpu === requests.cpu && limits.memory === requests.memory && Number.isInteger(requests.cpu);
    expect(limits.cpu === undefined || isGuaranteed, `${container.name}: a CPU limit without CPUs of its own`);
    const volumes = pod.volumes.map(({ name }) => name);
    for (const { name } of container.volumeMounts) expect(volumes.includes(name), `${container.name}: no volume ${name}`);
  }
  expect(pod.securityContext.runAsNonRoot && pod.securityContext.runAsUser > 0, 'runs as root');
  const isShared = deployment.spec.replicas !== 1;
  expect(!isShared || ['REDIS_URL', 'STORAGE_URL'].every((name) => name in environment), 'several nodes that share nothing');
}

for (const file of readdirSync(join(root, 'deploy/helm/checks'))) {
  const values = ['--values', join(root, 'deploy/helm/checks', file)];
  check(`helm lint, ${file}`, () => run(HELM, ['lint', chart, '--strict', ...values]));
  check(`schemas, ${file}`, () => conform(template(...values)));
  check(`documents, ${file}`, () => checkDocuments(parse(template(...values))));
}

const kserve = readdirSync(join(root, 'deploy/kserve'))
  .map((file) => readFileSync(join(root, 'deploy/kserve', file), 'utf8'))
  .join('---\n');
check('schemas, deploy/kserve', () => conform(kserve));
check('documents, deploy/kserve', () => {
  const [runtime] = ofKind(parse(kserve), 'ClusterServingRuntime');
  const [service] = ofKind(parse(kserve), 'InferenceService');
  const [container] = runtime.spec.containers;
  expect(container.name === 'kserve-container', 'KServe looks for kserve-container');
  expect(service.spec.predictor.model.runtime === runtime.metadata.name, 'the example names another runtime');
  expect(runtime.spec.protocolVersions.includes(service.spec.predictor.model.protocolVersion), 'a protocol that the runtime lacks');
});

const open = ['--set', 'access.mode=open'];
const fleet = ['--values', join(root, 'deploy/helm/checks/fleet.yaml')];
const elastic = ['--values', join(root, 'deploy/helm/checks/elastic.yaml')];
for (const [what, pattern, args] of [
  ['no keys', /access\.keysSecret: expected/, []],
  ['an unknown key', /additional properties 'replica'/, [...open, '--set', 'replica=2']],
  ['an unknown key below', /additional properties 'presStopSeconds'/, [...open, '--set', 'drain.presStopSeconds=2']],
  ['nodes that are no number', /replicas/, [...open, '--set-string', 'replicas=two']],
  ['several nodes without Redis', /redis\.urlSecret\.name: expected/, [...open, '--set', 'replicas=2']],
  ['several nodes without a store', /storage\.url: expected/, [...open, '--set', 'replicas=2,redis.urlSecret.name=redis']],
  ['several nodes on one claim', /data\.claim: one node/, [...fleet, '--set', 'data.claim=files']],
  ['a store that is no bucket', /storage\/url/, [...open, '--set', 'storage.url=https://bucket']],
  ['half a CPU of its own', /cpu/, [...open, '--set', 'cpuManager=static,cpu=1.5']],
  ['no CPU', /cpu/, [...open, '--set', 'cpu=0']],
  ['memory without a unit', /memory/, [...open, '--set-string', 'memory=4']],
  ['Sentinels without a name', /redis\.sentinel: expected/, [...fleet, '--set', 'redis.sentinel.name=']],
  ['a Sentinel without a port', /sentinel\/nodes/, [...fleet, '--set', 'redis.sentinel.nodes={sentinel}']],
  ['client certificates without TLS', /tls\.secret: expected/, [...open, '--set', 'tls.clientCa=true']],
  ['a monitor without a key', /serviceMonitor\.keySecret/, ['--set', 'access.keysSecret=keys,serviceMonitor.enabled=true']],
  ['no Prometheus to scale by', /autoscaling\.prometheusAddress/, [...elastic, '--set', 'autoscaling.prometheusAddress=']],
  ['scaling to zero', /minReplicas/, [...elastic, '--set', 'autoscaling.minReplicas=0']],
  ['fewer nodes at most than at least', /autoscaling\.maxReplicas: expected/, [...elastic, '--set', 'autoscaling.maxReplicas=1']],
  ['a rollout that can replace nothing', /rollingUpdate: expected/, [...open, '--set', 'rollingUpdate.maxUnavailable=0']],
  ['a capability that nothing needs', /capabilities/, [...open, '--set', 'capabilities={SYS_ADMIN}']],
  ['a level that the log does not have', /logLevel/, [...open, '--set', 'logLevel=loud']],
  ['a cluster that is too old', /incompatible with Kubernetes/, [...open, '--kube-version', '1.29.0']],
])
  refused(`refuses ${what}`, pattern, () => template(...args));

// That the schemas see a wrong document at all.
for (const [what, from, to] of [
  ['an unknown key', 'preStop:', 'preStp:'],
  ['a wrong type', /failureThreshold: \d+/, 'failureThreshold: often'],
  ['a key that is missing', /^kind: ServiceMonitor\n(.*\n)*?spec:\n/m, 'kind: ServiceMonitor\nspec:\n'],
  ['an unknown key of KEDA', 'minReplicaCount', 'minReplicasCount'],
  ['an unknown key of a budget', 'unhealthyPodEvictionPolicy', 'unhealthyPolicy'],
  ['a kind that has no schema', 'kind: PodDisruptionBudget', 'kind: PodDisruptionPlan'],
])
  refused(`the schemas refuse ${what}`, /invalid|could not find schema/, () => {
    const right = template(...elastic);
    const wrong = right.replace(from, to);
    if (wrong === right) throw new Error('nothing was changed');
    conform(wrong);
  });
for (const [what, from, to] of [
  ['of a runtime', 'protocolVersions', 'protocols'],
  ['of a service', 'storageUri', 'storageUrl'],
])
  refused(`the schemas refuse an unknown key ${what}`, /invalid/, () => conform(kserve.replace(from, to)));

console.log(`deploy: ${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
