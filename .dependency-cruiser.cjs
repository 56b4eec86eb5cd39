/**
 * The import rules (docs/architecture.md §4): contracts <- config, telemetry, system, onnx-file <- process, access, models, native,
 * queues, batches <- protocols, worker-pool, graphs, fleet, model-sources <- apps. Aliases are resolved through tsconfig.json.
 */
const foundation = ['contracts', 'config', 'onnx-file', 'telemetry', 'system'];
const tests = '\\.(spec|nightly)\\.ts$|/testing/';
const lib = (names) => `^libs/(${names.join('|')})/`;

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: '\\.node$' } },
    { name: 'libs-do-not-import-apps', severity: 'error', from: { path: '^libs/' }, to: { path: '^apps/' } },
    { name: 'apps-do-not-import-apps', severity: 'error', from: { path: '^apps/([^/]+)/' }, to: { path: '^apps/', pathNot: '^apps/$1/' } },
    {
      name: 'contracts-import-nothing',
      severity: 'error',
      from: { path: lib(['contracts']) },
      to: { path: '^(libs|apps)/', pathNot: lib(['contracts']) },
    },
    {
      name: 'foundation-imports-contracts-only',
      severity: 'error',
      from: { path: '^libs/(config|onnx-file|telemetry|system)/' },
      to: { path: '^libs/', pathNot: '^libs/(contracts|$1)/' },
    },
    {
      name: 'process-access-models-native-and-queues-import-the-foundation-only',
      severity: 'error',
      from: { path: '^libs/(process|access|models|native|queues)/' },
      to: { path: '^libs/', pathNot: `^libs/(${foundation.join('|')}|$1)/` },
    },
    {
      name: 'batches-imports-the-foundation-only',
      severity: 'error',
      from: { path: lib(['batches']), pathNot: tests },
      to: { path: '^libs/', pathNot: lib([...foundation, 'batches']) },
    },
    {
      name: 'worker-pool-imports-native-and-the-foundation',
      severity: 'error',
      from: { path: lib(['worker-pool']), pathNot: tests },
      to: { path: '^libs/', pathNot: lib([...foundation, 'native', 'process', 'worker-pool']) },
    },
    {
      name: 'graphs-imports-models-and-the-foundation',
      severity: 'error',
      from: { path: lib(['graphs']), pathNot: tests },
      to: { path: '^libs/', pathNot: lib([...foundation, 'models', 'graphs']) },
    },
    {
      name: 'fleet-imports-queues-protocols-and-the-foundation',
      severity: 'error',
      from: { path: lib(['fleet']), pathNot: tests },
      to: { path: '^libs/', pathNot: lib([...foundation, 'queues', 'protocols', 'fleet']) },
    },
    {
      name: 'model-sources-imports-models-batches-and-the-foundation',
      severity: 'error',
      from: { path: lib(['model-sources']), pathNot: tests },
      to: { path: '^libs/', pathNot: lib([...foundation, 'models', 'batches', 'model-sources']) },
    },
    {
      name: 'redis-is-reached-through-queues-only',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: `^libs/queues/|${tests}` },
      to: { path: 'node_modules/(bullmq|ioredis)/' },
    },
    {
      name: 'the-product-does-not-import-tests-or-tools',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: tests },
      to: { path: '^(test|bench|tools)/' },
    },
    {
      name: 'no-development-dependencies-in-the-product',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: `^apps/dashboard/|${tests}` },
      to: { dependencyTypes: ['npm-dev'] },
    },
    {
      name: 'the-page-imports-contracts-and-what-is-bundled',
      severity: 'error',
      from: { path: '^apps/dashboard/src/', pathNot: tests },
      to: { path: '^libs/|node_modules/', pathNot: '^libs/contracts/|node_modules/(preact|uplot)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|build[^/]*)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.js', '.json'],
      mainFields: ['main', 'types'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
    },
  },
};
