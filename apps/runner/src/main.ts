import { mkdirSync } from 'node:fs';
import { loadConfig, runPaths } from '@app/config';
import { FleetBackend, FleetConnection, mayTakeBatchWork, openFleetModels } from '@app/fleet';
import { GraphBackend, StepMetrics } from '@app/graphs';
import { ContentDigests, openModelCatalog } from '@app/models';
import { isolateDiskWork } from '@app/native';
import { WorkerPool } from '@app/worker-pool';
import { openStore } from '@app/batches';
import { logLevelCommand, onShutdown, openPlacement, readCrashCount, serveProcessStatus, type ShutdownStep } from '@app/process';
import { createLogger, observeProcess, observeTracing, openTracing } from '@app/telemetry';
import { Registry } from 'prom-client';
import { openRunner } from './open-runner';
import { ModelPins } from './chunks/model-pins';
import { ModelEngine } from './chunks/row-engine';

const PROCESS_ID = 'runner';
const DRAIN_MS = 10_000;
/** Cheap on a disk; a bucket's owner pays for each look, and is told of most by Redis. */
const RECONCILE_MS = { directory: 1_000, bucket: 5_000 };

/**
 * The batch runner. The scheduler starts it with a low priority (every thread inherits it from the start) and ends it
 * with SIGTERM, before the workers; it may be killed at any moment.
 */
async function main(): Promise<void> {
  const config = loadConfig();
  const log = createLogger(PROCESS_ID, config.logLevel);
  const shutdown: ShutdownStep[] = [];
  onShutdown({ log, isSupervised: config.supervised, steps: shutdown });
  mkdirSync(config.runDir, { recursive: true });
  const isolation = [isolateDiskWork()];
  const registry = new Registry();
  observeProcess(registry, PROCESS_ID);
  const tracing = openTracing(config.tracing, { id: PROCESS_ID, nodeId: config.nodeId }, log);
  observeTracing(registry, PROCESS_ID, tracing);
  const placement = openPlacement(config.runDir, log);
  const fleet = FleetConnection.open(config, log);
  const own = new WorkerPool({ lane: 'batch', runDir: config.runDir, placement });
  const steps = new FleetBackend({ own, placement, models: openFleetModels(config, fleet) });
  const pool = new GraphBackend({ steps, placement, onStep: new StepMetrics(registry).of('batch') });
  const catalog = await openModelCatalog(config.modelsDir, 'batch', log, placement);
  catalog.applyReports(pool.models());
  pool.onModelsChanged(() => catalog.applyReports(pool.models()));
  pool.useTexts(catalog);
  const limits = {
    itemsMax: Math.min(config.http.requestItemsMax, config.batch.queueItemsMax),
    tensorBytesMax: config.batch.rowBytesMax,
    tensorBytesKey: 'batch.rowBytesMax',
  };
  const pins = new ModelPins(
    catalog,
    () => [
      ...placement.workers().flatMap(({ lane, models }) => (lane === 'batch' ? models : [])),
      ...(placement.placement?.graphs ?? []).filter(({ lanes }) => lanes.includes('batch')),
    ],
    new ContentDigests(config.modelsDir, log),
    (name, version) => placement.quarantined(name, version).some(({ lane }) => lane === 'batch'),
  );
  const runner = await openRunner(config, {
    nodeId: config.nodeId,
    engine: new ModelEngine(catalog, pool, limits, pins),
    store: await openStore({
      storage: config.storage,
      freeBytesMin: config.batch.diskFreeBytesMin,
      onAway: (error) => log.warn({ err: error }, 'files and batches are not available yet'),
    }),
    crashes: readCrashCount(runPaths(config.runDir).crashCount(PROCESS_ID)),
    log,
    tracing,
    registry,
    reconcileMs: RECONCILE_MS[config.storage.kind],
    refusal: async () => (fleet === null ? null : mayTakeBatchWork((await fleet.list.current()).nodes)),
  });
  const statusServer = await serveProcessStatus({
    socketPath: runPaths(config.runDir).statusSocket(PROCESS_ID),
    registry,
    status: () => ({ ...runner.status(), isolation, models: catalog.revisions() ?? undefined }),
    commands: logLevelCommand(log),
  });
  shutdown.push(
    ['batches', () => runner.close(DRAIN_MS)],
    ['traces', async () => tracing?.close()],
    ['fleet', async () => fleet?.close()],
    ['workers', () => pool.close()],
    ['placement', () => placement.close()],
    ['status', () => statusServer.close()],
  );
}

void main().catch((error: Error) => {
  process.stderr.write(`${PROCESS_ID}: ${error.message}\n`);
  process.exit(1);
});
