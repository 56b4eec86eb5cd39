import { setTimeout as sleep } from 'node:timers/promises';
import { type Manifest } from '@app/batches';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import type { BatchWork } from './chunks/batch-work';
import { ChunkDesk } from './chunks/chunk-desk';
import { OwnedBatch } from './owned-batch';
import { runnerOptions } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { echoRows, Workspace } from './testing/workspace';

type Status = Manifest['batch']['status'];

const STATUSES = ['validating', 'in_progress', 'cancelling', 'finalizing', 'completed', 'failed', 'expired', 'cancelled'] as const;
const OPERATIONS = ['tick', 'cancel', 'expire', 'crash', 'do all chunks', 'lose'] as const;
type Operation = (typeof OPERATIONS)[number];
const CHUNKS = 3;

/** The status at which a batch stays after an operation. A batch in progress has a chunk that runs. */
const ENDS: Record<Operation, Partial<Record<Status, Status>>> = {
  tick: {},
  cancel: { validating: 'cancelled', in_progress: 'cancelled' },
  expire: { in_progress: 'expired' },
  crash: { in_progress: 'failed' },
  'do all chunks': { in_progress: 'completed' },
  lose: {},
};

describe('OwnedBatch', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let release: () => void;
  let desk: ChunkDesk;
  let work: BatchWork;
  let batch: OwnedBatch;
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
    batch.leave();
    desk.stopAll('put_back');
    await Promise.allSettled(running);
    await workspace.close();
  });

  /** A batch in a status, which it leaves by its own work only while it validates, finalizes or cancels; then the work is held. */
  async function enter(status: Status): Promise<void> {
    const batchId = await workspace.submit(echoRows(10 * CHUNKS));
    const found = await workspace.batches.readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    manifest = found.manifest;
    manifest.batch.status = status;
    if (status === 'cancelling') manifest.outcome = 'cancelled';
    if (status === 'finalizing') manifest.outcome = 'completed';
    const log = createLogger('test', 'silent');
    const parts = {
      nodeId: 'node',
      engine,
      store: workspace.store,
      crashes: 0,
      log,
      registry: new Registry(),
      reconcileMs: 50,
      refusal: async () => null,
    };
    const { context, processor } = runnerOptions(workspace.config, parts);
    const onOver = (over: Manifest) => context.batches.close(over.batch.id);
    const surroundings = { ...context, isStopping: () => isStopping, onCommitted: () => undefined, onOver };
    desk = new ChunkDesk(surroundings, processor);
    const queue = { adoptJobs: async () => undefined, onFeedable: () => undefined, shareOf: () => 1, forget: async () => undefined };
    work = await desk.openOwned(manifest);
    batch = new OwnedBatch(surroundings, desk, queue, work, manifest, found.version);
    if (status !== 'in_progress') return;
    running.push(batch.run());
    while (batch.ledger?.isOpen !== true) await sleep(5);
    doChunk(0);
  }

  function doChunk(chunkIndex: number): void {
    batch.ledger?.adopt(chunkIndex, 'job', 'running');
    const doOne = async () => {
      const result = await desk.process({ batchId: batch.id, chunkIndex });
      if (result !== null) batch.commit(result);
    };
    running.push(doOne().catch(() => undefined));
  }

  async function apply(operation: Operation): Promise<void> {
    if (operation === 'do all chunks') {
      release();
      if (batch.ledger !== null) for (const index of [1, 2]) doChunk(index);
    }
    if (operation === 'cancel') await workspace.batches.requestCancel(batch.id);
    if (operation === 'expire') work.manifest.batch.expires_at = 1;
    if (operation === 'crash') await workspace.batches.markCrashed(batch.id);
    if (operation === 'lose') await loseToAnother();
    await batch.tick(null);
  }

  async function loseToAnother(): Promise<void> {
    const found = await workspace.batches.readForUpdate(batch.id);
    if (found !== null) await workspace.batches.update({ ...found.manifest, writer: { nodeId: 'other', writeId: 'x' } }, found.version);
  }

  /** Until the batch is over, or nothing can change any more. */
  async function untilStill(): Promise<void> {
    if (batch.ledger !== null) release();
    await Promise.all(running);
  }

  const cases = OPERATIONS.flatMap((operation) => STATUSES.map((status) => [operation, status] as const));

  it.each(cases)('%s when %s', async (operation, status) => {
    await enter(status);
    await apply(operation);
    if (operation !== 'tick' && operation !== 'lose') await untilStill();
    expect(batch.status).toBe(ENDS[operation][status] ?? status);
  });

  it('is left when another node has taken it over, and writes nothing more', async () => {
    await enter('in_progress');
    await apply('lose');
    manifest.paused = 'something to write';
    for (const chunk of [1, 2]) doChunk(chunk);
    release();
    await Promise.all(running);
    expect(await workspace.batches.read(batch.id)).toMatchObject({ writer: { nodeId: 'other' }, batch: { status: 'in_progress' } });
  });

  it('does no chunk by the files that it would begin with, where another node has begun it', async () => {
    await enter('validating');
    release();
    const pin = engine.pin.bind(engine);
    engine.pin = async (model) => {
      await loseToAnother();
      return pin(model);
    };
    const ended = batch.run();
    const tried = (async () => {
      while (!batch.isLost) {
        if (batch.status === 'in_progress') await desk.process({ batchId: batch.id, chunkIndex: 0 }).catch(() => undefined);
        await new Promise(setImmediate);
      }
    })();
    await Promise.all([ended, tried]);
    expect([...engine.seen]).toEqual([]);
  });

  it('is cancelled once, however many look at it at the same time', async () => {
    await enter('validating');
    await workspace.batches.requestCancel(batch.id);
    await Promise.all([batch.tick(null), batch.tick(null), batch.tick(null)]);
    expect(batch.status).toBe('cancelled');
  });
});
