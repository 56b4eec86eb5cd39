import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Config, loadConfig, runPaths } from '@app/config';
import { workersBeside, type Placement, type WorkerPlan } from '@app/contracts';
import { inspectRuntime, startWorker, type WorkerHandle } from '@app/native';
import { createLogger, type Logger, observeEventLoop, serveProcessStatus } from '@app/telemetry';
import { Registry } from 'prom-client';
import { Calibrator } from './calibration/calibrator';
import { measuresCosts } from './calibration/measuring-worker';
import { logModelChanges } from './model-log';
import { registerCalibrationState, registerWorkerMetrics } from './worker-metrics';
import { workerStatus } from './worker-status';

/** Shorter than the scheduler's patience for the whole node. */
const DRAIN_MS = 20_000;
/** Of 1000; among the kernel's first choices when memory runs out. */
const BATCH_OOM_SCORE = 500;

/**
 * One worker of the placement: native executors and their channel. JavaScript only reports and ends it, on threads of
 * ordinary priority. Exit code 0 after a drain, 1 when it could not start.
 */
async function main(): Promise<void> {
  const config = loadConfig();
  const placement = readPlacement(config);
  const plan = planOf(workerIdOf(process.argv.slice(2)), placement);
  process.title = `interleave ${plan.id}`;
  const log = createLogger(plan.id, config.logLevel);
  if (plan.lane === 'batch') preferForOutOfMemory(log);
  // Before clients can come: a signal that nobody handles would end the process with their items.
  const ended = signalToEnd(config.supervised);

  const { lanePage } = runPaths(config.runDir);
  const lanePages = { own: lanePage(plan.id), others: workersBeside(plan, placement.workers).map(({ id }) => lanePage(id)) };
  const worker = startWorker({ plan, ortLibraryPath: config.ortLibraryPath, lanePages });
  const registry = new Registry();
  observeEventLoop(registry, plan.id);
  const calibrator = new Calibrator({
    ...{ plan, worker, log, dataDir: config.dataDir, runtimeVersion: inspectRuntime(config.ortLibraryPath).version },
    ...{ budgetMs: config.calibration.budgetMs, measures: (model) => measuresCosts(plan, placement, model) },
  });
  registerWorkerMetrics(registry, { id: plan.id, lane: plan.lane }, () => worker.stats());
  registerCalibrationState(registry, { id: plan.id, lane: plan.lane }, () => calibrator.statuses());
  let state: 'serving' | 'draining' = 'serving';
  const statusServer = await serveProcessStatus({
    socketPath: runPaths(config.runDir).statusSocket(plan.id),
    registry,
    status: () => workerStatus(plan, state, worker, calibrator.statuses()),
    lane: () => ({ service: worker.service() }),
  });
  log.info({ cpus: plan.cpus, models: plan.models.length }, 'serving');
  const stopLogging = logModelChanges(worker, log);
  const signal = await ended;
  state = 'draining';
  log.info({ signal }, 'draining');
  stopLogging();
  await Promise.all([calibrator.stop(), drain(worker, log)]);
  await statusServer.close();
  process.exit(0);
}

async function drain(worker: WorkerHandle, log: Logger): Promise<void> {
  if (!(await worker.drain(DRAIN_MS))) log.warn(`items were still unanswered after ${DRAIN_MS} ms; their clients will send them again`);
  await worker.close();
}

function workerIdOf(args: string[]): string {
  const { worker } = parseArgs({ args, options: { worker: { type: 'string' } } }).values;
  if (worker === undefined) throw new Error('expected --worker <id>');
  return worker;
}

function readPlacement(config: Config): Placement {
  return JSON.parse(readFileSync(runPaths(config.runDir).placement, 'utf8')) as Placement;
}

function planOf(workerId: string, { workers }: Placement): WorkerPlan {
  const plan = workers.find(({ id }) => id === workerId);
  if (plan === undefined) throw new Error(`the placement has no worker ${workerId}; it has ${workers.map(({ id }) => id).join(', ') || 'none'}`);
  return plan;
}

function preferForOutOfMemory(log: Logger): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', String(BATCH_OOM_SCORE));
  } catch (error) {
    log.warn({ err: error }, 'the out-of-memory score could not be raised; the kernel may choose another process first');
  }
}

/** A terminal sends SIGINT and SIGHUP to all processes: under a scheduler only its SIGTERM counts. */
function signalToEnd(isSupervised: boolean): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on('SIGTERM', resolve);
    for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, isSupervised ? () => undefined : resolve);
  });
}

function fail(error: Error): void {
  process.stderr.write(`interleave worker: ${error.message}\n`);
  process.exit(1);
}

void main().catch(fail);
