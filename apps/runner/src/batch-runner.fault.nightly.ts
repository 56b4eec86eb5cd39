import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SEES_ALL } from '@app/batches';
import type { OpenRunner } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { openTestRunner } from './testing/open-test-runner';
import { echoRows, toJsonl, Workspace } from './testing/workspace';

const ROWS = 600;
const SETTINGS = { chunkRows: 20, chunkConcurrency: 2 };

describe('the batch lane when things are killed', () => {
  let workspace: Workspace;
  let runners: ChildProcess[] = [];
  let lanes: OpenRunner[] = [];

  beforeEach(async () => {
    workspace = new Workspace(SETTINGS);
    await workspace.redis.start();
  });

  afterEach(async () => {
    await Promise.all(runners.map(killed));
    await Promise.all(lanes.map((lane) => lane.close(0)));
    [runners, lanes] = [[], []];
    await workspace.close();
  });

  async function openRunner(engine: EchoEngine): Promise<void> {
    lanes.push(await openTestRunner(workspace.config, engine));
  }

  function startRunner(): ChildProcess {
    const registerTs = join(__dirname, '../../../test/fixtures/register-ts.cjs');
    const runner = fork(join(__dirname, 'testing', 'runner-process.ts'), [workspace.directory, JSON.stringify(SETTINGS)], {
      execArgv: ['--require', registerTs],
    });
    runners.push(runner);
    return runner;
  }

  /** Resolves once the runner has answered so many rows. */
  function answeredRows(runner: ChildProcess, count: number): Promise<void> {
    return new Promise((resolve) => {
      let seen = 0;
      runner.on('message', () => {
        if (++seen === count) resolve();
      });
    });
  }

  async function expectEveryRowOnce(batchId: string): Promise<void> {
    const batch = await workspace.untilOver(batchId);
    const lines = await workspace.readLines(batch.output_file_id);
    expect(batch).toMatchObject({ status: 'completed', error_file_id: null, request_counts: { total: ROWS, completed: ROWS, failed: 0 } });
    expect(lines.map(({ custom_id: id, response }) => [id, response?.body.echo])).toEqual(
      echoRows(ROWS).map(({ custom_id: id, body }) => [id, (body as { input: string }).input]),
    );
  }

  async function killed(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  it('answers every row once, in order, when the runner is killed again and again', async () => {
    const batchId = await workspace.submit(echoRows(ROWS));
    for (const rowsBeforeDeath of [1, 50, 150]) {
      const runner = startRunner();
      await answeredRows(runner, rowsBeforeDeath);
      await killed(runner);
    }
    startRunner();
    await expectEveryRowOnce(batchId);
  });

  it('does not repeat committed chunks after a kill', async () => {
    const batchId = await workspace.submit(echoRows(ROWS));
    const first = startRunner();
    const { request_counts: counts } = await workspace.until(batchId, (batch) => batch.request_counts.completed >= 100);
    await killed(first);
    const engine = new EchoEngine();
    await openRunner(engine);
    await expectEveryRowOnce(batchId);
    expect(engine.seen.size).toBeLessThanOrEqual(ROWS - counts.completed);
  });

  it.each([
    ['flushed', async () => workspace.redis.flush()],
    ['killed and restarted', async () => workspace.redis.kill().then(() => workspace.redis.start())],
  ])('completes when Redis is %s in mid batch', async (_what, harm) => {
    const engine = new EchoEngine();
    await openRunner(engine);
    const batchId = await workspace.submit(echoRows(ROWS));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed > 0);
    await harm();
    await expectEveryRowOnce(batchId);
  });

  it('says that Redis does not answer while it is frozen, and goes on', async () => {
    const engine = new EchoEngine();
    const release = engine.holdFrom(50);
    await openRunner(engine);
    const batchId = await workspace.submit(echoRows(ROWS));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 20);
    workspace.redis.freeze();
    await workspace.until(batchId, ({ interleave }) => interleave.paused === 'Redis is not reachable');
    workspace.redis.thaw();
    release();
    await expectEveryRowOnce(batchId);
  });

  it('starts without Redis and goes on when it comes', async () => {
    await workspace.redis.kill();
    await openRunner(new EchoEngine());
    const batchId = await workspace.submit(echoRows(ROWS));
    await sleep(500);
    expect((await workspace.batches.get(batchId, SEES_ALL)).status).toBe('validating');
    await workspace.redis.start();
    await expectEveryRowOnce(batchId);
  });

  it.each([
    ['a row that is none', (text: string) => text.replace(/.{9}\n$/, 'x'.repeat(9) + '\n'), 'expected a row in line 600'],
    ['a row less', (text: string) => text.replace(/[^\n]*\n$/, (row) => ' '.repeat(row.length)), 'expected 20 rows but received 19'],
  ])('says that the file was changed, and can be cancelled, when it has %s by now', async (_, change, reason) => {
    const engine = new EchoEngine();
    const letGo = engine.holdFrom(20);
    const fileId = await workspace.upload(toJsonl(echoRows(ROWS)));
    const batchId = await workspace.createBatch(fileId);
    await openRunner(engine);
    await workspace.until(batchId, ({ status }) => status === 'in_progress');
    const content = join(workspace.directory, 'files', fileId, 'content');
    writeFileSync(`${content}.next`, change(readFileSync(content, 'utf8')));
    renameSync(`${content}.next`, content);
    letGo();
    await workspace.until(batchId, ({ interleave }) => interleave.paused?.includes(reason) === true);
    await workspace.batches.requestCancel(batchId);
    expect(await workspace.untilOver(batchId)).toMatchObject({ status: 'cancelled', request_counts: { total: ROWS } });
  });
});
