import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TABLE_CHILD_SOURCE } from '../testing/open-test-runner';
import { TableProcess } from './table-process';
import type { WriteTask } from './table-task';

describe('a table that cannot be written', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-process-'))));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('says why, and ends, though nothing ever opened its pipe', async () => {
    const tablePipe = join(folder, 'table');
    execFileSync('mkfifo', [tablePipe]);
    const stop = new AbortController();
    const id = { name: 'id', type: 'NO_TYPE' };
    const task: WriteTask = { kind: 'write', format: 'csv', id, kept: [], endpoint: 'classify', sample: null, tablePipe };
    const table = new TableProcess(TABLE_CHILD_SOURCE, task, null, stop.signal);
    table.stdin.end();
    table.stdout.resume();
    const tooLong = setTimeout(() => stop.abort(), 10_000);
    await expect(table.columns()).rejects.toThrow(/^table: .*NO_TYPE/);
    expect(stop.signal.aborted).toBe(false);
    clearTimeout(tooLong);
  });
});
