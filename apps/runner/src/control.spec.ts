import { setTimeout as sleep } from 'node:timers/promises';
import { PAUSED_BY_REQUEST, readInstanceId, SEES_ALL } from '@app/batches';
import { BatchQueues } from '@app/queues';
import type { OpenRunner } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { openTestRunner } from './testing/open-test-runner';
import { echoRow, echoRows, toJsonl, Workspace } from './testing/workspace';

describe('control of a batch while it runs', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let lane: OpenRunner;
  let queues: BatchQueues;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10, chunkConcurrency: 2 });
    engine = new EchoEngine();
    await workspace.redis.start();
    lane = await openTestRunner(workspace.config, engine);
    const instanceId = await readInstanceId(workspace.store);
    queues = new BatchQueues({ address: { path: workspace.redis.socketPath }, instanceId, onError: () => undefined });
  });

  afterEach(async () => {
    await queues.close();
    await lane.close(0);
    await workspace.close();
  });

  async function change(batchId: string, wanted: { isPaused?: boolean; priority?: 'low' | 'normal' | 'high' }): Promise<void> {
    const manifest = await workspace.batches.read(batchId);
    if (manifest === null) throw new Error('no manifest');
    await workspace.batches.changeControl(manifest, wanted);
    if (queues.isReady()) await queues.announceChange(batchId);
  }

  const stored = async (batchId: string) => (await workspace.batches.read(batchId))?.paused;

  it('pauses: what runs is finished, nothing else begins, and it goes on', async () => {
    const release = engine.holdFrom(25);
    const batchId = await workspace.submit(echoRows(200));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    await change(batchId, { isPaused: true });
    expect((await workspace.batches.get(batchId, SEES_ALL)).interleave.paused).toBe(PAUSED_BY_REQUEST);
    while ((await stored(batchId)) !== PAUSED_BY_REQUEST) await sleep(10);
    release();
    while (lane.status().chunks.running > 0) await sleep(10);
    const { seen } = engine;
    const before = seen.size;
    await sleep(300);
    expect([seen.size, lane.status().chunks]).toEqual([before, { running: 0, waiting: 0, oldestSeconds: 0 }]);
    expect(before).toBeLessThan(100);
    await change(batchId, { isPaused: false });
    const batch = await workspace.untilOver(batchId);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { completed: 200 }, interleave: { priority: 'normal' } });
    expect([...seen.values()].every((times) => times === 1)).toBe(true);
  });

  it('gives the same output after 50 pauses and resumes', async () => {
    const rows = echoRows(600).map((row, index) => (index % 50 === 7 ? echoRow(index, 'bad') : row));
    const inputs = await workspace.upload(toJsonl(rows));
    const textsOf = async (batchId: string) => {
      const batch = await workspace.untilOver(batchId);
      return Promise.all([batch.output_file_id, batch.error_file_id].map((id) => workspace.readText(id)));
    };
    const undisturbed = await textsOf(await workspace.createBatch(inputs, { deterministic: true }));
    const batchId = await workspace.createBatch(inputs, { deterministic: true });
    await workspace.until(batchId, ({ status }) => status === 'in_progress');
    for (let times = 0; times < 50; times++) {
      await change(batchId, { isPaused: true });
      await change(batchId, { isPaused: false });
      await sleep(times % 5);
    }
    expect(await textsOf(batchId)).toEqual(undisturbed);
  });

  it('is paused for whoever owns it next, and before it has begun', async () => {
    await lane.close(0);
    const batchId = await workspace.submit(echoRows(40));
    await change(batchId, { isPaused: true });
    lane = await openTestRunner(workspace.config, engine);
    await workspace.until(batchId, ({ status }) => status === 'in_progress');
    await sleep(300);
    expect([engine.seen.size, lane.status().batches[0]?.paused]).toEqual([0, PAUSED_BY_REQUEST]);
    await lane.close(0);
    lane = await openTestRunner(workspace.config, engine);
    while (lane.status().batches[0]?.paused !== PAUSED_BY_REQUEST) await sleep(10);
    expect(engine.seen.size).toBe(0);
    await change(batchId, { isPaused: false });
    expect(await workspace.untilOver(batchId)).toMatchObject({ status: 'completed', request_counts: { completed: 40 } });
  });

  it('cancels and expires while it is paused', async () => {
    await lane.close(0);
    const ids = [
      await workspace.submit(echoRows(40)),
      await workspace.createBatch(await workspace.upload(toJsonl(echoRows(40))), { expires_at: Math.floor(Date.now() / 1000) + 2 }),
    ];
    for (const batchId of ids) await change(batchId, { isPaused: true });
    lane = await openTestRunner(workspace.config, engine);
    const [cancelled = '', expired = ''] = ids;
    await workspace.until(cancelled, ({ status }) => status === 'in_progress');
    await workspace.batches.requestCancel(cancelled);
    expect(await workspace.untilOver(cancelled)).toMatchObject({ status: 'cancelled', output_file_id: null, interleave: { not_run: 40 } });
    expect(await workspace.untilOver(expired)).toMatchObject({ status: 'expired', request_counts: { failed: 40 } });
  });

  it('shows a priority at once, keeps it, and tells the node that runs its chunks', async () => {
    const release = engine.holdFrom(25);
    const batchId = await workspace.submit(echoRows(100));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    await change(batchId, { priority: 'high' });
    expect((await workspace.batches.get(batchId, SEES_ALL)).interleave.priority).toBe('high');
    release();
    expect((await workspace.untilOver(batchId)).interleave).toMatchObject({ priority: 'high' });
  });

  it('cancels a chunk at the row it is at', async () => {
    const wide = new Workspace({ chunkRows: 64 });
    await wide.redis.start();
    const wideLane = await openTestRunner(wide.config, engine);
    const release = engine.holdFrom(0);
    const batchId = await wide.submit(echoRows(64));
    while (wideLane.status().chunks.running === 0) await sleep(10);
    // Before the first answer is known, few rows are started.
    await sleep(100);
    await wide.batches.requestCancel(batchId);
    const batch = await wide.untilOver(batchId);
    release();
    const cut = (await wide.readLines(batch.error_file_id)).length;
    expect(cut).toBeLessThan(64);
    expect(batch).toMatchObject({ status: 'cancelled', output_file_id: null, interleave: { not_run: 64 - cut } });
    await wideLane.close(0);
    await wide.close();
  });
});
