import { setTimeout as sleep } from 'node:timers/promises';
import { BatchStore, type Manifest } from '@app/batches';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { ActiveBatch } from './active-batch';
import { ChunkNotWanted } from './chunks/chunk-ledger';
import { runnerOptions } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { echoRows, Workspace } from './testing/workspace';

type Status = Manifest['batch']['status'];

const STATUSES = ['validating', 'in_progress', 'cancelling', 'finalizing', 'completed', 'failed', 'expired', 'cancelled'] as const;
const OPERATIONS = ['tick', 'cancel', 'expire', 'processChunk', 'abort'] as const;
type Operation = (typeof OPERATIONS)[number];
const CHUNKS = 3;

/** The status at which a batch stays after an operation, and what the operation answers. A batch in progress has a chunk that runs. */
const ENDS: Record<Operation, Partial<Record<Status, [Status, string?]>>> = {
  tick: {},
  cancel: { validating: ['cancelled'], in_progress: ['cancelled'] },
  expire: { in_progress: ['expired'] },
  processChunk: { in_progress: ['in_progress', 'committed'] },
  abort: {},
};

describe('ActiveBatch', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let release: () => void;
  let batch: ActiveBatch;
  let manifest: Manifest;
  let isStopping: boolean;
  let running: Promise<unknown>[];

  beforeEach(() => {
    workspace = new Workspace({ chunkRows: 10 });
    engine = new EchoEngine();
    release = engine.holdFrom(0);
    isStopping = false;
    running = [];
  });

  afterEach(async () => {
    isStopping = true;
    release();
    batch.abort('put_back');
    await Promise.allSettled(running);
    await workspace.close();
  });

  /** A batch in a status, which it leaves by its own work only while it validates, finalizes or cancels; then the work is held. */
  async function enter(status: Status): Promise<void> {
    const batchId = await workspace.submit(echoRows(10 * CHUNKS));
    const found = await new BatchStore(workspace.store).readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    manifest = found.manifest;
    manifest.batch.status = status;
    if (status === 'cancelling') manifest.outcome = 'cancelled';
    if (status === 'finalizing') manifest.outcome = 'completed';
    const log = createLogger('test', 'silent');
    const parts = { engine, store: workspace.store, crashes: 0, log, registry: new Registry(), reconcileMs: 50 };
    const { context, processor } = runnerOptions(workspace.config, parts);
    const surroundings = { isStopping: () => isStopping, mayWork: () => true, onFeedable: () => undefined, onCommitted: () => undefined };
    batch = new ActiveBatch({ ...context, ...surroundings }, processor, manifest, found.version);
    await batch.load();
    if (status !== 'in_progress') return;
    void batch.run();
    while (batch.ledger?.isOpen !== true) await sleep(5);
    running.push(batch.processChunk(0, 'job').catch(() => undefined));
    while (batch.runningChunks === 0) await sleep(5);
  }

  async function apply(operation: Operation): Promise<string | undefined> {
    if (operation === 'processChunk') {
      engine.holdFrom(0)();
      return batch.processChunk(1, 'another job');
    }
    if (operation === 'abort') return void batch.abort('put_back');
    if (operation === 'cancel') await workspace.batches.requestCancel(batch.id);
    if (operation === 'expire') manifest.batch.expires_at = 1;
    await batch.tick(null);
    return undefined;
  }

  /** Until the batch is over, or nothing can change any more. */
  async function untilStill(): Promise<void> {
    for (let status: Status | null = null; status !== batch.status; await sleep(100)) status = batch.status;
  }

  const cases = OPERATIONS.flatMap((operation) => STATUSES.map((status) => [operation, status] as const));

  it.each(cases)('%s when %s', async (operation, status) => {
    await enter(status);
    const answer = await apply(operation).catch((error: Error) => error.name);
    await untilStill();
    const [end, answered] = ENDS[operation][status] ?? [status, operation === 'processChunk' ? ChunkNotWanted.name : undefined];
    expect([batch.status, answer]).toEqual([end, answered]);
  });

  it('is cancelled once, however many look at it at the same time', async () => {
    await enter('validating');
    await workspace.batches.requestCancel(batch.id);
    await Promise.all([batch.tick(null), batch.tick(null), batch.tick(null)]);
    expect(batch.status).toBe('cancelled');
  });
});
