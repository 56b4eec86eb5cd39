import { parseArgs } from 'node:util';
import { loadConfig, runPaths } from '@app/config';
import { workersBeside, type Placement, type WorkerModelPlan, type WorkerPlan } from '@app/contracts';
import { inspectRuntime, isolateProcess, startWorker, type WorkerHandle } from '@app/native';
import { loadBytes } from '@app/models';
import { logLevelCommand, onShutdown, openPlacement, readPlacement, serveProcessStatus, type ShutdownStep } from '@app/process';
import { createLogger, type Logger, observeProcess } from '@app/telemetry';
import { Registry } from 'prom-client';
import { Calibrator } from './calibration/calibrator';
import { measuresCosts } from './calibration/measuring-worker';
import { livePids } from './live-pids';
import { hasFingerprint } from './model-files';
import { PlacedModels } from './placed-models';
import {
  registerAwakeTime,
  registerCalibrationState,
  registerIsolation,
  registerModelStates,
  registerWorkerMetrics,
} from './worker-metrics';
import { workerStatus } from './worker-status';

/** Shorter than the scheduler's patience for the whole node. */
const DRAIN_MS = 20_000;
/** Then nothing waits any more but perhaps the load of a model, which cannot be interrupted. */
const CLOSE_MS_MAX = 2_000;

/**
 * One worker of the placement: native executors and their channel. JavaScript only reports and ends it, on threads of
 * ordinary priority. Exit code 0 after a drain, 1 when it could not start.
 */
async function main(): Promise<void> {
  const config = loadConfig();
  const placement = placementOf(runPaths(config.runDir).placement);
  const { workerId, heartbeatFd } = optionsOf(process.argv.slice(2));
  const plan = planOf(workerId, placement);
  process.title = `interleave ${plan.id}`;
  const log = createLogger(plan.id, config.logLevel);
  const shutdown: ShutdownStep[] = [];
  onShutdown({ log, isSupervised: config.supervised, steps: shutdown });
  // Before any thread of the worker starts: they inherit CPUs and memory nodes.
  const tools = isolateProcess(plan, plan.lane === 'batch' ? await livePids(config.runDir, placement) : []);
  const { controlPage } = runPaths(config.runDir);
  const controlPages = { own: controlPage(plan.id), others: workersBeside(plan, placement.workers).map(({ id }) => controlPage(id)) };
  const hasFilesOf = ({ name, version, fingerprint }: WorkerModelPlan): boolean =>
    hasFingerprint(config.modelsDir, name, version, fingerprint);
  const worker = startWorker({
    plan,
    ortLibraryPath: config.ortLibraryPath,
    quarantined: placement.quarantined,
    loadLast: placement.loadLast,
    hasFilesOf,
    // Each team of executors has the model to itself, those of one thread share it.
    needBytesOf: ({ modelPath, executorThreads: width }) => loadBytes(modelPath, width === 1 ? 1 : Math.floor(plan.cpus.length / width)),
    heartbeatFd,
    controlPages,
  });
  shutdown.push(['worker', () => drain(worker, log)]);
  const isolation = [...tools, worker.idleLatency()];
  for (const { tool, state, reason } of isolation)
    if (state === 'unavailable') log.warn({ tool, reason }, `isolation: ${tool} is unavailable`);
  const registry = new Registry();
  observeProcess(registry, plan.id, () => worker.awakeSeconds());
  const reader = openPlacement(config.runDir, log);
  const calibrator = new Calibrator({
    plan,
    worker,
    log,
    dataDir: config.dataDir,
    runtimeVersion: inspectRuntime(plan.gpu?.ortLibraryPath ?? config.ortLibraryPath).version,
    budgetMs: config.calibration.budgetMs,
    hasFilesOf,
    measures: (model) => measuresCosts(plan, reader.placement ?? placement, model),
  });
  registerWorkerMetrics(registry, { id: plan.id, lane: plan.lane }, () => worker.stats());
  registerIsolation(registry, { id: plan.id, lane: plan.lane }, () => [
    ...isolation,
    ...worker.executors().flatMap((executor) => executor.isolation),
  ]);
  registerCalibrationState(registry, { id: plan.id, lane: plan.lane }, () => calibrator.statuses());
  registerAwakeTime(registry, plan.id, () => worker.awakeSeconds());
  registerModelStates(registry, { id: plan.id, lane: plan.lane }, () => worker.models());
  const models = new PlacedModels({ plan, reader, worker, calibrator, log });
  let state: 'serving' | 'draining' = 'serving';
  const statusServer = await serveProcessStatus({
    socketPath: runPaths(config.runDir).statusSocket(plan.id),
    registry,
    status: () => workerStatus(models.plan, state, worker, { isolation, calibration: calibrator.statuses() }),
    lane: () => ({ service: worker.service() }),
    commands: logLevelCommand(log),
  });
  log.info({ cpus: plan.cpus, models: plan.models.length }, 'serving');
  models.follow();
  const stopMeasuring = (): Promise<void> => {
    state = 'draining';
    models.stop();
    return calibrator.stop();
  };
  shutdown.unshift(['calibration', stopMeasuring]);
  shutdown.push(['status', () => statusServer.close()]);
}

async function drain(worker: WorkerHandle, log: Logger): Promise<void> {
  if (!(await worker.drain(DRAIN_MS))) log.warn(`items still unanswered after ${DRAIN_MS} ms; clients will resend them`);
  const isClosed = await Promise.race([
    worker.close().then(() => true),
    new Promise<boolean>((resolve) => setTimeout(resolve, CLOSE_MS_MAX, false)),
  ]);
  if (isClosed) return;
  log.warn(`a model is still being loaded after ${CLOSE_MS_MAX} ms; the process ends without waiting for it`);
  // An ordinary exit would take the runtime away from under the thread that loads.
  process.kill(process.pid, 'SIGKILL');
}

/** `--heartbeat-fd`: the open file that its scheduler reads; none without a scheduler. */
function optionsOf(args: string[]): { workerId: string; heartbeatFd: number | null } {
  const { values } = parseArgs({ args, options: { worker: { type: 'string' }, 'heartbeat-fd': { type: 'string' } } });
  if (values.worker === undefined) throw new Error('expected --worker <id>');
  return { workerId: values.worker, heartbeatFd: values['heartbeat-fd'] === undefined ? null : Number(values['heartbeat-fd']) };
}

/** Throws where there is none, or one that this version cannot use. */
function placementOf(path: string): Placement {
  const placement = readPlacement(path);
  if (placement === null) throw new Error(`there is no placement at ${path}; workers are started by the scheduler: interleave up`);
  return placement;
}

function planOf(workerId: string, { workers }: Placement): WorkerPlan {
  const plan = workers.find(({ id }) => id === workerId);
  if (plan === undefined)
    throw new Error(`the placement has no worker ${workerId}; it has ${workers.map(({ id }) => id).join(', ') || 'none'}`);
  return plan;
}

function fail(error: Error): void {
  process.stderr.write(`interleave worker: ${error.message}\n`);
  process.exit(1);
}

void main().catch(fail);
