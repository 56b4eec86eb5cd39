import type { Config } from '@app/config';
import type { RunnerProcessStatus } from '@app/contracts';
import { BatchStore, FileStore, OutputAssembler, readInstanceId, storagePaths, uploadLimits, type DiskGuard } from '@app/batches';
import { BatchQueues, redisAddress } from '@app/queues';
import { jsonLimits } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import type { Registry } from 'prom-client';
import { BatchRunner } from './batch-runner';
import { ChunkProcessor } from './chunks/chunk-processor';
import { InFlightBudget } from './chunks/in-flight-budget';
import { RunnerMetrics, observeRunner } from './runner-metrics';
import type { RowEngine } from './chunks/row-engine';
import { acquireRunnerLock } from './runner-lock';

/** Enough rows at once that a coalescer sees many lengths (256 of them bring its cost within 2 % of the best). */
const ROWS_IN_FLIGHT_MAX = 512;
/** Part of the runner's heap (RUNNER_HEAP_MIB in processes.ts), which also holds a read for each chunk and garbage. */
const BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024;

export interface OpenRunner {
  status(): RunnerProcessStatus;
  /** Drains: chunks that run have `drainMs` to finish, then they are put back. */
  close(drainMs: number): Promise<void>;
}

export interface RunnerDependencies {
  engine: RowEngine;
  disk: DiskGuard;
  /** How often runners of this data directory have crashed so far. */
  crashes: number;
  log: Logger;
  registry: Registry;
  /** Time between two looks at the disk for what Redis did not tell. */
  reconcileMs: number;
}

/** Starts the batch lane of a data directory, once no other process works on it. Redis need not be there yet. */
export async function openRunner(config: Config, parts: RunnerDependencies): Promise<OpenRunner> {
  const { engine, disk, crashes, log, registry, reconcileMs } = parts;
  const rowLimits = { ...jsonLimits(config.http), bytesMax: config.batch.rowBytesMax };
  const instanceId = await readInstanceId(config.dataDir);
  const lock = await acquireRunnerLock(instanceId, () => log.info('another batch runner uses this data directory; waiting for it to exit'));
  const files = new FileStore(config.dataDir, disk, uploadLimits(config.batch));
  await files.ensureDirectories();
  const bull = { address: redisAddress(config), instanceId, onError: (error: Error) => log.debug({ err: error }, 'Redis') };
  const queues = new BatchQueues(bull);
  const budget = new InFlightBudget({ rowsMax: Math.min(ROWS_IN_FLIGHT_MAX, config.batch.queueItemsMax), bytesMax: BYTES_IN_FLIGHT_MAX });
  const lane = new BatchRunner({
    context: {
      batches: new BatchStore(config.dataDir),
      files,
      disk,
      assembler: new OutputAssembler(config.dataDir, disk),
      engine,
      rowLimits,
      crashes,
      log,
    },
    batchesDirectory: storagePaths(config.dataDir).batches,
    processor: new ChunkProcessor(engine, budget, rowLimits),
    queues,
    bull,
    metrics: new RunnerMetrics(registry),
    chunkConcurrency: config.batch.chunkConcurrency,
    chunksQueuedMax: config.batch.chunksQueuedMax,
    reconcileMs,
  });
  observeRunner(registry, () => lane.status());
  lane.start();
  return {
    status: () => lane.status(),
    close: async (drainMs) => {
      await lane.stop(drainMs);
      await queues.close();
      lock.close();
    },
  };
}
