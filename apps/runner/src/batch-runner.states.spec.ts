import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { BatchRunner } from './batch-runner';
import { BullConsumers } from './consumers/bull-consumers';
import { EchoEngine } from './testing/echo-engine';
import { openRunnerApp } from './testing/runner-app';
import { echoRows, Workspace } from './testing/workspace';

type State = BatchRunner['state'];
type Operation = 'start' | 'stop' | 'processChunk' | 'own';

const STATES: State[] = ['new', 'running', 'stopping', 'stopped'];
const HOUR_MS = 3_600_000;

/** What an operation makes of each state: the next state, and what it answers. */
const MATRIX: Record<Operation, Record<State, [State, unknown]>> = {
  start: {
    new: ['running', 'done'],
    running: ['running', 'Error'],
    stopping: ['stopping', 'Error'],
    stopped: ['stopped', 'Error'],
  },
  stop: { new: ['stopped', 'done'], running: ['stopped', 'done'], stopping: ['stopped', 'done'], stopped: ['stopped', 'done'] },
  processChunk: {
    new: ['new', 'ChunkPutBack'],
    running: ['running', expect.objectContaining({ index: 3, completed: 10, failed: 0, errorBytes: 0, failures: {} })],
    stopping: ['stopping', 'ChunkPutBack'],
    stopped: ['stopped', 'ChunkPutBack'],
  },
  own: {
    new: ['new', 'ChunkPutBack'],
    running: ['running', 'done'],
    stopping: ['stopping', 'ChunkPutBack'],
    stopped: ['stopped', 'ChunkPutBack'],
  },
};

describe('BatchRunner', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let app: INestApplicationContext;
  let runner: BatchRunner;
  let release: () => void = () => undefined;
  let batchId: string;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10, chunkConcurrency: 1 });
    engine = new EchoEngine();
    engine.rowSeconds = 0.05;
    await workspace.redis.start();
    app = await openRunnerApp(workspace, engine);
    runner = app.get(BatchRunner);
  });

  afterEach(async () => {
    release();
    await runner.stop(0);
    await app.close();
    await workspace.close();
  });

  /** From `running` on, a batch of four chunks is there, of which three run, from both queues, and are held. */
  async function enter(state: State): Promise<void> {
    if (state === 'new') return;
    release = engine.holdFrom(0);
    batchId = await workspace.submit(echoRows(40));
    runner.start(app.get(BullConsumers));
    while (runner.status().chunks.running < 3) await sleep(10);
    if (state === 'running') return;
    const stopped = runner.stop(state === 'stopping' ? HOUR_MS : 0);
    if (state === 'stopped') await stopped;
  }

  async function apply(operation: Operation): Promise<unknown> {
    if (operation === 'start') {
      runner.start(app.get(BullConsumers));
      return 'done';
    }
    if (operation === 'stop') {
      release();
      await runner.stop(0);
      return 'done';
    }
    if (operation === 'own') {
      const other = await workspace.submit(echoRows(10));
      if (runner.state === 'running') release();
      await runner.own(other);
      return 'done';
    }
    const answer = runner.processChunk({ batchId, chunkIndex: 3 });
    void Promise.resolve().then(() => runner.state === 'running' && release());
    return answer;
  }

  const cases = (Object.keys(MATRIX) as Operation[]).flatMap((operation) => STATES.map((state) => [operation, state] as const));

  it.each(cases)('%s when %s', async (operation, state) => {
    await enter(state);
    expect(runner.state).toBe(state);
    const answer = await apply(operation).catch((error: Error) => error.name);
    expect([runner.state, answer]).toEqual(MATRIX[operation][state]);
  });

  it('owns a batch once that is brought twice at the same time', async () => {
    runner.start(app.get(BullConsumers));
    const twice = await workspace.submit(echoRows(10));
    await Promise.all([runner.own(twice), runner.own(twice)]);
    expect(await workspace.untilOver(twice)).toMatchObject({ status: 'completed', request_counts: { completed: 10 } });
  });

  it('drains what runs, and stops for both who asked when it is done', async () => {
    await enter('stopping');
    const again = runner.stop(0);
    expect(await Promise.race([again, sleep(50, 'draining')])).toBe('draining');
    release();
    await again;
    expect(runner.state).toBe('stopped');
    expect(engine.seen.size).toBe(30);
  });
});
