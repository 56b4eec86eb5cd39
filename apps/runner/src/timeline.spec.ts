import { setTimeout as sleep } from 'node:timers/promises';
import type { ChunkTimeline } from '@app/contracts';
import type { OpenRunner } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { openTestRunner } from './testing/open-test-runner';
import { echoRow, echoRows, Workspace } from './testing/workspace';

describe('the timeline of a batch', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let lane: OpenRunner;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10, chunkConcurrency: 2 });
    engine = new EchoEngine();
    await workspace.redis.start();
    lane = await openTestRunner(workspace.config, engine);
  });

  afterEach(async () => {
    await lane.close(0);
    await workspace.close();
  });

  async function until(batchId: string, isReached: (timeline: ChunkTimeline) => boolean): Promise<ChunkTimeline> {
    for (;;) {
      const timeline = await workspace.batches.readTimeline(batchId);
      if (timeline !== null && isReached(timeline)) return timeline;
      await sleep(20);
    }
  }

  it('has each chunk with its node, its times and its failures, once the batch is over', async () => {
    const batchId = await workspace.submit(echoRows(35).map((row, index) => (index === 12 ? echoRow(index, 'bad') : row)));
    await workspace.untilOver(batchId);
    const timeline = await workspace.batches.readTimeline(batchId);
    expect(timeline).toMatchObject({ chunks: 4, chunksPerSpan: 1, putBacks: 0, states: { committed: 4, pending: 0, running: 0 } });
    expect(timeline?.spans.map(({ firstRow, rows, completed, failed, attempts }) => [firstRow, rows, completed, failed, attempts])).toEqual(
      [
        [0, 10, 10, 0, 1],
        [10, 10, 9, 1, 1],
        [20, 10, 10, 0, 1],
        [30, 5, 5, 0, 1],
      ],
    );
    expect(timeline?.spans[1]?.failures).toEqual({ inference_failed: 1 });
    for (const { beganAtMs, endedAtMs, nodes } of timeline?.spans ?? []) {
      expect(nodes).toEqual([expect.stringMatching(/^test-/)]);
      expect(beganAtMs).toBeLessThanOrEqual(endedAtMs ?? 0);
    }
  });

  it('keeps over an end of the runner what was done before', async () => {
    const release = engine.holdFrom(15);
    const batchId = await workspace.submit(echoRows(40));
    const before = await until(batchId, ({ states }) => states.committed === 1 && states.running > 0);
    await lane.close(0);
    release();
    lane = await openTestRunner(workspace.config, engine);
    await workspace.untilOver(batchId);
    const after = await workspace.batches.readTimeline(batchId);
    expect(after?.states.committed).toBe(4);
    expect(after?.spans[0]).toEqual(before.spans[0]);
    expect(after?.spans.every(({ endedAtMs }) => endedAtMs !== null)).toBe(true);
  });
});
