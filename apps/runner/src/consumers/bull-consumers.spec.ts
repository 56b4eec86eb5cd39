import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { newBatchId } from '@app/batches';
import { BatchQueues } from '@app/queues';
import { BatchRunner } from '../batch-runner';
import { EchoEngine } from '../testing/echo-engine';
import { openRunnerApp } from '../testing/runner-app';
import { Workspace } from '../testing/workspace';
import { BatchConsumer } from './batch-consumer';
import { BullConsumers } from './bull-consumers';
import { ChunkConsumer } from './chunk-consumer';
import { FirstChunkConsumer } from './first-chunk-consumer';
import { WebhookConsumer } from './webhook-consumer';

describe('BullConsumers', () => {
  let workspace: Workspace;
  let app: INestApplicationContext;
  let consumers: BullConsumers;
  let queues: BatchQueues;

  beforeEach(async () => {
    workspace = new Workspace({ chunkConcurrency: 3 });
    await workspace.redis.start();
    app = await openRunnerApp(workspace, new EchoEngine());
    consumers = app.get(BullConsumers);
    queues = app.get(BatchQueues);
    while (!queues.isReady()) await sleep(10);
  });

  afterEach(async () => {
    await app.get(BatchRunner).stop(0);
    await consumers.close(0);
    await app.close();
    await workspace.close();
  });

  const add = (jobId: string) => queues.addChunks([{ jobId, payload: { batchId: newBatchId(), chunkIndex: 0 } }]);
  const jobOf = (jobId: string) => queues.boardQueues()[1]?.getJob(jobId);

  async function untilGone(jobId: string): Promise<void> {
    while ((await queues.chunkState(jobId)) !== 'gone') await sleep(10);
  }

  it('take nothing before they are opened', async () => {
    await add('early');
    await sleep(100);
    expect(await queues.chunkState('early')).toBe('waiting');
    app.get(BatchRunner).start(consumers);
    await untilGone('early');
  });

  it('are closed and opened again, with connections and a concurrency of their own each time', async () => {
    const workers = [];
    for (const jobId of ['first', 'second']) {
      consumers.open();
      const { worker } = app.get(ChunkConsumer);
      expect(worker.concurrency).toBe(3);
      workers.push(worker);
      await worker.waitUntilReady();
      expect(worker.opts.connection).toMatchObject({
        path: workspace.redis.socketPath,
        maxRetriesPerRequest: null,
        enableOfflineQueue: true,
      });
      await add(jobId);
      while ((await jobOf(jobId))?.attemptsMade === 0) await sleep(10);
      await consumers.close(10_000);
      expect([consumers.isOpen, worker.isRunning()]).toEqual([false, false]);
    }
    expect(workers[0]).not.toBe(workers[1]);
  });

  it.each([BatchConsumer, ChunkConsumer, FirstChunkConsumer, WebhookConsumer])(
    'have the name of the node, and end when they are closed: %p',
    async (consumer) => {
      consumers.open();
      const { worker } = app.get(consumer);
      await worker.waitUntilReady();
      expect(worker.opts.name).toBe('node');
      await consumers.close(10_000);
      expect(worker.isRunning()).toBe(false);
    },
  );

  it('fail a chunk for good that nobody wants, and have one that was put back brought again', async () => {
    consumers.open();
    await add('put back');
    while ((await jobOf('put back'))?.attemptsMade !== 1) await sleep(10);
    expect(await jobOf('put back')).toMatchObject({ failedReason: 'the batch runner is new', delay: 1000 });
    app.get(BatchRunner).start({ isOpen: true, open: () => undefined, close: (timeoutMs) => consumers.close(timeoutMs) });
    await untilGone('put back');
    expect(await jobOf('put back')).toMatchObject({
      failedReason: expect.stringContaining('is not in progress') as string,
      attemptsMade: 2,
    });
  });

  it.each([null, 7, 'x', {}, { batchId: null }, { batchId: {} }])('fail a batch job for good that holds %j', async (data) => {
    const [batches] = queues.boardQueues();
    app.get(BatchRunner).start(consumers);
    await batches?.add('batch', data, { jobId: 'odd', attempts: 9, removeOnFail: false });
    while ((await batches?.getJobState('odd')) !== 'failed') await sleep(10);
    expect((await batches?.getJob('odd'))?.failedReason).toContain('expected {batchId}');
  });

  it.each([null, 7, {}, ...[-1, 1.5, '0', null, {}, 2 ** 53].map((chunkIndex) => ({ batchId: newBatchId(), chunkIndex }))])(
    'fail a chunk job for good that holds %j',
    async (data) => {
      app.get(BatchRunner).start(consumers);
      await queues.boardQueues()[1]?.add('chunk', data, { jobId: 'odd', attempts: 9 });
      await untilGone('odd');
      expect(await jobOf('odd')).toMatchObject({ failedReason: expect.stringContaining('expected {batchId, chunkIndex}') as string });
    },
  );
});
