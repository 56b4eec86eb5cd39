import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BatchView } from '@app/batches';
import type { OpenRunner } from '../open-runner';
import { EchoEngine } from '../testing/echo-engine';
import { openTestRunner } from '../testing/open-test-runner';
import { echoRows, toJsonl, Workspace } from '../testing/workspace';
import { LastingTrouble } from './lasting-trouble';
import { TableProcess, TableTrouble } from './table-process';

const REASON = 'Conversion Error: no such value';

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-trouble-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A child that tells of one trouble, whatever its task is, and counts itself. */
function troubledChild(trouble: string): string {
  const path = join(folder, 'child.cjs');
  writeFileSync(join(folder, 'tries'), '');
  writeFileSync(
    path,
    `require('node:fs').appendFileSync(${JSON.stringify(join(folder, 'tries'))}, '.');
    process.once('message', () => process.send({ trouble: ${JSON.stringify(trouble)} }, () => process.exit(0)));`,
  );
  return path;
}

describe('a batch whose table is never written', () => {
  let workspace: Workspace;
  let lane: OpenRunner;
  const engine = new EchoEngine();

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10 });
    await workspace.redis.start();
    lane = await openTestRunner(workspace.config, engine, { tableChild: [troubledChild(`${REASON}\n\nLINE 1: …`)] });
  });
  afterEach(async () => {
    await lane.close(0);
    await workspace.close();
  });

  async function run(rows: number, onBegun: (batchId: string) => Promise<void> = () => Promise.resolve()): Promise<BatchView> {
    const fileId = await workspace.upload(toJsonl(echoRows(rows)));
    const table = { input: null, output: { format: 'csv' as const, columns: [] }, hasPreparedRows: false };
    const batchId = await workspace.createBatch(fileId, {}, { table });
    await onBegun(batchId);
    return workspace.untilOver(batchId);
  }

  const message = `The output cannot be written as a table and has JSON Lines instead: table: ${REASON}`;

  it('fails with the reason after three tries, and has its answers as lines', async () => {
    const batch = await run(30);
    expect(batch).toMatchObject({ status: 'failed', request_counts: { total: 30, completed: 30, failed: 0 } });
    expect(batch.errors?.data).toEqual([{ code: 'output_failed', message, param: 'output', line: null }]);
    expect(readFileSync(join(folder, 'tries'), 'utf8')).toBe('...');
    const lines = await workspace.readLines(batch.output_file_id);
    expect(lines.map(({ custom_id: id }) => id)).toEqual(echoRows(30).map(({ custom_id: id }) => id));
  });

  it('is cancelled where that was asked for, and has what is answered as lines, for good', async () => {
    const letGo = engine.holdFrom(25);
    const batch = await run(100, async (batchId) => {
      await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 20);
      await workspace.batches.requestCancel(batchId);
    });
    letGo();
    expect([batch.status, batch.errors?.data[0]?.message]).toEqual(['cancelled', message]);
    await lane.close(0);
    expect(await workspace.readLines(batch.output_file_id)).toHaveLength(batch.request_counts.completed);
  });
});

describe('LastingTrouble', () => {
  it('is the same one three times in a row', () => {
    const trouble = new LastingTrouble();
    const [one, other] = [new TableTrouble('one'), new TableTrouble('other')];
    const told = [one, one, other, one, one, new Error('away'), one, one, one].map((error) => trouble.isIn(error));
    expect(told).toEqual([false, false, false, false, false, false, false, false, true]);
  });

  it.each([
    [REASON, TableTrouble],
    ['Out of Memory Error: failed to allocate', TableTrouble],
    [`Conversion Error: Could not convert string 'IO Error: ' to INT64`, TableTrouble],
    ['IO Error: Could not write file: No space left on device', Error],
    ['ENOSPC: no space left on device, write', Error],
    ['Invalid Input Error: EIO: i/o error, read', Error],
  ])('may be in what a child says: %s', async (trouble, kind) => {
    const { signal } = new AbortController();
    const child = new TableProcess([troubledChild(trouble)], { kind: 'write' } as never, null, signal);
    child.stdout.resume();
    const error = (await child.columns().catch((reason: unknown) => reason)) as Error;
    expect([error.constructor, error.message]).toEqual([kind, `table: ${trouble}`]);
  });
});
