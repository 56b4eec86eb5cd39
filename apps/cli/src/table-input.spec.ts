import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError } from './cli-error';
import { isTable } from './table-input';

describe('isTable', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-table-input-'))));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([{}, { column: 'text' }])('says which file cannot be read before anything is sent: %j', async (options) => {
    const missing = join(folder, 'nope.csv');
    const asked = isTable(missing, options);
    await expect(asked).rejects.toThrow(CliError);
    await expect(asked).rejects.toThrow(`${missing} cannot be read: ENOENT`);
    await expect(isTable(folder, options)).rejects.toThrow(`${folder} cannot be read: it is a directory, and a file is expected`);
  });

  it('tells tables and lines apart', async () => {
    const path = join(folder, 'rows.txt');
    writeFileSync(path, 'one\n');
    expect(await Promise.all([isTable(path, {}), isTable(path, { column: 'text' }), isTable('file:///nope.csv', {})])).toEqual([
      false,
      true,
      true,
    ]);
  });
});
