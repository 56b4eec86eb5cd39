import type { OpenRunner } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { openTestRunner } from './testing/open-test-runner';
import { echoRow, echoRows, toJsonl, Workspace } from './testing/workspace';

describe('a dry run', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let lane: OpenRunner;

  beforeEach(async () => {
    workspace = new Workspace();
    engine = new EchoEngine();
    await workspace.redis.start();
    lane = await openTestRunner(workspace.config, engine);
  });

  afterEach(async () => {
    await lane.close(0);
    await workspace.close();
  });

  const dryRun = async (rows: readonly unknown[], text = toJsonl(rows)) =>
    workspace.untilOver(await workspace.createBatch(await workspace.upload(text), {}, { isDryRun: true }));

  it('predicts what the whole file would take, and computes its first hundred rows', async () => {
    const batch = await dryRun(echoRows(1_000));
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 100, completed: 100, failed: 0 } });
    expect(batch.interleave).toMatchObject({
      priority: 'normal',
      dry_run: { rows: 1_000, sampled_rows: 256, executor_seconds: 500, wall_seconds: 250, padding_share: expect.any(Number) as number },
    });
    const lines = await workspace.readLines(batch.output_file_id);
    expect(lines.map(({ custom_id: id }) => id)).toEqual(echoRows(100).map(({ custom_id: id }) => id));
    expect(engine.seen.size).toBe(100);
  });

  it('computes all of a short file, in which lines may be blank', async () => {
    const text = echoRows(30)
      .map((row) => `\n \r\n${JSON.stringify(row)}`)
      .join('\n');
    expect(await dryRun([], text)).toMatchObject({ status: 'completed', request_counts: { total: 30, completed: 30 } });
  });

  it('ends after row 100 also where lines are blank, long or end with CRLF', async () => {
    const text = echoRows(300)
      .map((row) => `${JSON.stringify({ ...row, custom_id: `${row.custom_id}-é` })}\r\n\r\n`)
      .join('');
    const batch = await dryRun([], text);
    expect((await workspace.readLines(batch.output_file_id)).map(({ custom_id: id }) => id)).toEqual(
      echoRows(100).map((row) => `${row.custom_id}-é`),
    );
  });

  it('finds what is wrong with the file as any batch does', async () => {
    const batch = await dryRun([...echoRows(500), echoRow(3)]);
    expect(batch).toMatchObject({
      status: 'failed',
      errors: { data: [{ code: 'duplicate_custom_id', line: 501 }] },
      interleave: { dry_run: null },
    });
    expect(engine.seen.size).toBe(0);
  });
});
