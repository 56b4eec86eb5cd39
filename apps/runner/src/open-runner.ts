import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { Config } from '@app/config';
import type { RunnerProcessStatus } from '@app/contracts';
import {
  BatchStore,
  CrashMarks,
  FileStore,
  IdempotencyKeys,
  readInstanceId,
  uploadLimits,
  UploadStore,
  type ObjectStore,
} from '@app/batches';
import { redisAddress, withDeadline } from '@app/queues';
import { jsonLimits } from '@app/protocols';
import type { Logger, Tracing } from '@app/telemetry';
import type { Registry } from 'prom-client';
import { BatchRunner } from './batch-runner';
import { ChunkProcessor } from './chunks/chunk-processor';
import { InFlightBudget } from './chunks/in-flight-budget';
import { BullConsumers } from './consumers/bull-consumers';
import { RunnerModule, type RunnerOptions } from './runner.module';
import { RunnerMetrics, observeRunner } from './runner-metrics';
import type { RowEngine } from './chunks/row-engine';
import { Janitor } from './janitor';
import { acquireRunnerLock } from './runner-lock';
import { emptyScratch, tableSettings } from './tables/open-tables';
import { TABLE_CHILD } from './tables/table-process';

/** Twice as many as a coalescer needs to see (256 bring its cost within 2 % of the best): rows come in blocks of up to 256. */
const ROWS_IN_FLIGHT_MAX = 512;
/** Part of the runner's heap (RUNNER_HEAP_MIB in processes.ts), which also holds a read for each chunk and garbage. */
const BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024;
/** More than the queues need to close while Redis answers. */
const CLOSE_MS = 3_000;

export interface OpenRunner {
  status(): RunnerProcessStatus;
  /** Drains: chunks that run have `drainMs` to finish, then they are put back. */
  close(drainMs: number): Promise<void>;
}

export interface RunnerDependencies {
  nodeId: string;
  engine: RowEngine;
  store: ObjectStore;
  /** How often runners of this data directory have crashed so far. */
  crashes: number;
  log: Logger;
  registry: Registry;
  /** Time between two looks at the store for what Redis did not tell. */
  reconcileMs: number;
  /** Why this node may not take batch work beside the others of its fleet; null: it may. */
  refusal: () => Promise<string | null>;
  /** Default: nothing is traced. */
  tracing?: Tracing | null;
  /** For tests: what node runs to read and write tables. */
  tableChild?: readonly string[];
}

/** Starts the batch lane of a node, once no other process is that node's runner. Redis need not be there yet. */
export async function openRunner(config: Config, parts: RunnerDependencies): Promise<OpenRunner> {
  const { store, log, registry } = parts;
  const instanceId = await readInstanceId(store);
  const lock = await acquireRunnerLock(parts.nodeId, () =>
    log.info('another batch runner of this node is running; waiting for it to exit'),
  );
  await emptyScratch(config);
  const bull = { address: redisAddress(config), instanceId, onError: (error: Error) => log.debug({ err: error }, 'Redis') };
  const module = RunnerModule.of(runnerOptions(config, parts), bull);
  const app = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
  const runner = app.get(BatchRunner);
  observeRunner(registry, () => runner.status());
  runner.start(app.get(BullConsumers));
  return {
    status: () => runner.status(),
    close: async (drainMs) => {
      await runner.stop(drainMs);
      // The framework closes the queues and consumers once more, and would wait for ever while Redis is away.
      await withDeadline(app.close(), CLOSE_MS, 'closing the queues').catch((error: Error) => log.debug({ err: error }, 'Redis'));
      lock.close();
    },
  };
}

export function runnerOptions(config: Config, parts: RunnerDependencies): RunnerOptions {
  const { nodeId, engine, store, crashes, log, registry, reconcileMs, refusal } = parts;
  const { batch, dataDir } = config;
  const rowLimits = { ...jsonLimits(config.http), bytesMax: batch.rowBytesMax };
  const budget = new InFlightBudget({ rowsMax: Math.min(ROWS_IN_FLIGHT_MAX, batch.queueItemsMax), bytesMax: BYTES_IN_FLIGHT_MAX });
  const batches = new BatchStore(store);
  const files = new FileStore(store, uploadLimits(batch));
  return {
    context: {
      nodeId,
      batches,
      files,
      store,
      crashMarks: new CrashMarks(dataDir),
      engine,
      rowLimits,
      chunkRowsMax: batch.chunkRows,
      tables: tableSettings(config, parts.tableChild ?? TABLE_CHILD),
      crashes,
      log,
      tracing: parts.tracing ?? null,
    },
    processor: new ChunkProcessor(store, engine, budget, rowLimits),
    metrics: new RunnerMetrics(registry),
    janitor: new Janitor({
      files,
      batches,
      uploads: new UploadStore(store, files),
      idempotency: new IdempotencyKeys(store, batches),
      batchesDays: batch.retention.batchesDays ?? null,
      log,
    }),
    chunkConcurrency: batch.chunkConcurrency,
    chunksQueuedMax: batch.chunksQueuedMax,
    reconcileMs,
    refusal,
    webhooks: config.webhooks,
  };
}
