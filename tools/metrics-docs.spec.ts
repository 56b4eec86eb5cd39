import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { PREEMPTION_VERDICTS, type Placement } from '@app/contracts';
import { StepMetrics } from '@app/graphs';
import { observeProcess } from '@app/telemetry';
import { Registry } from 'prom-client';
import { addGatewayGauges } from '../apps/api/src/metrics/gateway-gauges';
import { createServer } from '../apps/api/src/server';
import { apiOn, EchoBackend } from '../apps/api/src/testing/fakes';
import { observeExpiry } from '../apps/api/src/tls/tls.module';
import { observeRunner, RunnerMetrics } from '../apps/runner/src/runner-metrics';
import { registerLaneControl } from '../apps/scheduler/src/lane-control/lane-control-metrics';
import { registerNode } from '../apps/scheduler/src/node-metrics';
import { SchedulerMetrics } from '../apps/scheduler/src/scheduler-metrics';
import { SupervisorEvents } from '../apps/scheduler/src/supervision/supervisor-events';
import {
  registerAwakeTime,
  registerCalibrationState,
  registerIsolation,
  registerModelStates,
  registerWorkerMetrics,
} from '../apps/worker/src/worker-metrics';

const PAGE = join(__dirname, '../docs/metrics.md');
const HEAD = `# Metrics

All metrics of a node, as \`GET /metrics\` of its API gives them: one scrape for all processes. \`npm run metrics-docs\` writes this
page from
the registries of the processes.

- The text format 0.0.4, or OpenMetrics 1.0 where \`Accept\` asks for it, as Prometheus does. OpenMetrics has exemplars: the trace
  of a request
  that was sampled, in the buckets of \`interleave_request_seconds\`.
- Counters begin at 0 when their process begins; \`rate\` and \`increase\` know that. What the API and the runner count is exact
  whatever becomes of
  the workers. What a worker counted since the last scrape goes with it when it is killed.
- Labels are bounded: live requests and tenants keep the names of the first 500 models and 100 tenants, later ones are \`other\`. All other
  labels have values of the program, of the plan, or names of models in the repository.
- Process \`each\`: API, scheduler, runner and every worker, told apart by the label \`process\`.

[Runbook](runbook.md) says what to do about alerts on them; \`deploy/prometheus\` has rules and alerts, \`deploy/grafana\` dashboards.
`;

const UNITS: [RegExp, string][] = [
  [/_seconds(_total)?$/, 's'],
  [/_ms$/, 'ms'],
  [/_bytes$/, 'bytes'],
  [/_(ratio|cosine|slack)$/, 'ratio'],
];
const unitOf = (name: string): string => UNITS.find(([pattern]) => pattern.test(name))?.[1] ?? '';

interface Described {
  name: string;
  row: string;
}

async function describeAll(registry: Registry, processName: string): Promise<Described[]> {
  const metrics = (await registry.getMetricsAsJSON()) as unknown as { name: string; help: string; type: string }[];
  return metrics.map(({ name, help, type }) => {
    const { labelNames = [] } = registry.getSingleMetric(name) as unknown as { labelNames?: string[] };
    const labels = labelNames.map((label) => `\`${label}\``).join(', ');
    return { name, row: `| \`${name}\` | ${type} | ${labels} | ${unitOf(name)} | ${processName} | ${help.replaceAll('|', '\\|')} |` };
  });
}

async function apiMetrics(): Promise<Registry> {
  const options = apiOn(new EchoBackend());
  const app = await createServer(options);
  const registry = app.get<Registry>(Registry);
  // What only a node with TLS has, and what is made of the metrics of all processes.
  observeExpiry({ current: { validToMs: 0 } } as Parameters<typeof observeExpiry>[0], registry);
  await addGatewayGauges(registry, { admittedItems: () => 0, inFlightItems: () => 0 });
  await registry.getMetricsAsJSON();
  await app.close();
  rmSync(options.config.dataDir, { recursive: true, force: true });
  return registry;
}

function schedulerMetrics(): Registry {
  const placement: Placement = { formatVersion: 1, partitions: [], workers: [] };
  const proof = { verdict: PREEMPTION_VERDICTS[0], p50Ms: 0, p99Ms: 0 } as unknown as ConstructorParameters<typeof SchedulerMetrics>[2];
  const { registry } = new SchedulerMetrics([], placement, proof, new SupervisorEvents());
  registerNode(registry, loadConfig({ DATA_DIR: __dirname }), placement);
  registerLaneControl(registry, () => ({ batchWorkers: [], guards: [], inflation: [], heldOffSlots: 0, isHeldOff: false }));
  return registry;
}

function runnerMetrics(): Registry {
  const registry = new Registry();
  observeProcess(registry, 'runner');
  new RunnerMetrics(registry);
  const chunks = { running: 0, waiting: 0, oldestSeconds: 0 };
  observeRunner(registry, () => ({ batches: [], rowsPerSecond: 0, backlogSeconds: 0, chunks, redisIsReady: true }));
  return registry;
}

/** Of the processes that run graphs of models. */
function stepMetrics(): Registry {
  const registry = new Registry();
  new StepMetrics(registry);
  return registry;
}

function workerMetrics(): Registry {
  const registry = new Registry();
  const worker = { id: 'worker', lane: 'realtime' as const };
  registerWorkerMetrics(registry, worker, () => []);
  registerIsolation(registry, worker, () => []);
  registerCalibrationState(registry, worker, () => []);
  registerModelStates(registry, worker, () => []);
  registerAwakeTime(registry, worker.id, () => 0);
  return registry;
}

async function writePage(): Promise<string> {
  const common = new Registry();
  observeProcess(common, 'each');
  const each = await describeAll(common, 'each');
  const isCommon = ({ name }: Described): boolean => each.some((known) => known.name === name);
  const parts = await Promise.all([
    describeAll(await apiMetrics(), 'api'),
    describeAll(schedulerMetrics(), 'scheduler'),
    describeAll(runnerMetrics(), 'runner'),
    describeAll(workerMetrics(), 'worker'),
    describeAll(stepMetrics(), 'api, runner'),
  ]);
  const all = [...each, ...parts.flat().filter((one) => !isCommon(one))].sort((one, other) => one.name.localeCompare(other.name, 'en'));
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  const table = ['| metric | type | labels | unit | process | |', '|---|---|---|---|---|---|', ...all.map(({ row }) => row)];
  return `${HEAD}\n${table.join('\n')}\n`;
}

describe('docs/metrics.md', () => {
  it('is what the registries of the processes have; else run: npm run metrics-docs', async () => {
    const page = await writePage();
    if (process.env['WRITE_METRICS'] !== undefined) writeFileSync(PAGE, page);
    expect(existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '').toBe(page);
  }, 60_000);
});
