import { setTimeout as sleep } from 'node:timers/promises';
import type { ChunkResult } from '@app/batches';
import { BatchQueues, isFirstChunkJob, parseChunkJobId } from '@app/queues';
import { Workspace } from '../testing/workspace';
import { ChunkLedger } from './chunk-ledger';
import { ChunkPump, type FedBatch } from './chunk-pump';

const resultOf = (index: number): ChunkResult => ({ index, completed: 1, failed: 0, outputBytes: 1, errorBytes: 0, failures: {} });

describe('ChunkPump', () => {
  let workspace: Workspace;
  let queues: BatchQueues;
  let batches: FedBatch[];
  let pump: ChunkPump;

  beforeEach(async () => {
    workspace = new Workspace();
    await workspace.redis.start();
    queues = new BatchQueues({ address: { path: workspace.redis.socketPath }, instanceId: 'test', onError: () => undefined });
    while (!queues.isReady()) await sleep(5);
    batches = [];
    pump = new ChunkPump(queues, () => batches, { waitingMax: 4, chunksQueuedMax: 16 });
  });

  afterEach(async () => {
    await queues.close();
    await workspace.close();
  });

  function open(batchId: string, chunkCount: number): ChunkLedger {
    const ledger = new ChunkLedger(batchId, chunkCount);
    ledger.open();
    batches.push({ ledger, share: { tenant: 't', tenantWeight: 1, batchId, weight: 1 }, secondsOf: () => 1 });
    return ledger;
  }

  /** The chunks of a batch that wait in Redis, in both queues. */
  async function waiting(batchId: string): Promise<{ first: number[]; others: number[] }> {
    const { waiting: jobIds } = await queues.openChunkJobs();
    const own = jobIds.filter((jobId) => parseChunkJobId(jobId)?.batchId === batchId);
    const indexesOf = (isFirst: boolean) =>
      own
        .filter((jobId) => isFirstChunkJob(jobId) === isFirst)
        .map((jobId) => parseChunkJobId(jobId)?.chunkIndex ?? -1)
        .sort();
    return { first: indexesOf(true), others: indexesOf(false) };
  }

  function run(ledger: ChunkLedger, ...indexes: number[]): void {
    for (const { index, jobId } of ledger.handedChunks()) if (indexes.includes(index)) ledger.note(index, jobId, 'running');
  }

  it('hands the first chunks of a batch over by the queue that waits for nobody, and a few by the other one', async () => {
    open('a', 20);
    await pump.feed();
    await pump.feed();
    expect(await waiting('a')).toEqual({ first: [0, 1], others: [2, 3, 4, 5] });
  });

  it('lets a new batch begin although the other queue is full', async () => {
    const old = open('old', 100);
    await pump.feed();
    run(old, 0, 1);
    open('new', 10);
    await pump.feed();
    expect(await waiting('new')).toEqual({ first: [0], others: [] });
  });

  it('takes the last chunks of a small batch out of the queue in which they would wait', async () => {
    const ledger = open('small', 4);
    await pump.feed();
    run(ledger, 0, 1);
    await pump.feed();
    expect(await waiting('small')).toEqual({ first: [0, 1], others: [2, 3] });
    ledger.commit(resultOf(0));
    await pump.feed();
    expect(await waiting('small')).toEqual({ first: [0, 1, 2], others: [3] });
    expect([ledger.count('queued'), ledger.count('running')]).toEqual([2, 1]);
  });

  it('gives chunks back when Redis is away', async () => {
    const ledger = open('a', 5);
    await workspace.redis.kill();
    await expect(pump.feed()).rejects.toThrow();
    expect(ledger.count('pending')).toBe(5);
  });
});
