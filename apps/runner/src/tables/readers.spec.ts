import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DataType,
  Decimal,
  Dictionary,
  FixedSizeBinary,
  Int32,
  Int64,
  makeVector,
  Table,
  tableToIPC,
  TimeMicrosecond,
  TimeNanosecond,
  TimestampNanosecond,
  Utf8,
  Vector,
  vectorFromArray,
} from 'apache-arrow';
import { DuckDBInstance } from '@duckdb/node-api';
import { ODD_PARQUET } from '../testing/odd-parquet';
import { openArrowReader } from './arrow-reader';
import { openDuckDb } from './duckdb';
import { openDuckDbReader } from './duckdb-reader';
import { BadTable } from './table-task';
import type { Cell, TableReader, WantedColumns } from './table-reader';

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-readers-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const wanted = (texts: string[], carried: string[] = []): WantedColumns => ({ texts, carried, lists: [] });

async function cellsOf(reader: TableReader): Promise<Cell[][][]> {
  const groups: Cell[][][] = [];
  for await (const group of reader.groups()) groups.push(group);
  return groups;
}

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function written(name: string, sql: string): Promise<string> {
  const path = join(folder, name);
  await (await (await DuckDBInstance.create(':memory:')).connect()).run(`COPY (${sql}) TO '${path}' (FORMAT parquet)`);
  return path;
}

/** The file with columns under other names of the same length: no writer here gives two the same. */
function renamed(path: string, names: Record<string, string>): string {
  const text = Object.entries(names).reduce((all, [from, to]) => all.replaceAll(from, to), readFileSync(path).toString('latin1'));
  return file('renamed', Buffer.from(text, 'latin1'));
}

describe('a reader of CSV', () => {
  it.each([
    ['1,two,three', 'CSV Error on Line: 2: Expected Number of Columns: 2 Found: 3'],
    [`1,"${'long '.repeat(90)}"x`, 'CSV Error on Line: 2: Value with unterminated quote found.'],
    [`1,${'x'.repeat(3000)}`, 'CSV Error on Line: 2: Maximum line size of 2000 bytes exceeded. Actual Size:3002 bytes.'],
  ])('gives the reason for a faulty line: %#', async (line, reason) => {
    await expect(read(`id,text\n${line}\n`)).rejects.toThrow(`The table cannot be read: Invalid Input Error: ${reason}`);
  });

  it('refuses NUL in the name of a column', async () => {
    const reason = 'The name of column 2 of the CSV has a NUL character; rename it.';
    await expect(read('text,no\0te\n1,2\n')).rejects.toThrow(reason);
  });

  async function read(content: string): Promise<Cell[][][]> {
    const path = file('lines.csv', Buffer.from(content));
    const source = { path, format: 'csv' as const, compression: null, rowBytesMax: 2000 };
    return cellsOf(await openDuckDbReader(await openDuckDb([path], 96), source, wanted(['text'])));
  }
});

describe('a reader of Parquet', () => {
  const open = async (path: string, columns: WantedColumns): Promise<TableReader> =>
    openDuckDbReader(await openDuckDb([path], 96), { path, format: 'parquet', compression: null, rowBytesMax: 1e6 }, columns);

  it.each([
    [
      'int96',
      'old',
      'INT96, a timestamp of nanoseconds, which cannot be copied exactly; cast it to a timestamp of microseconds, or to text.',
    ],
    ['wide', 'zoned', 'timestamp of nanoseconds with a time zone, which cannot be copied exactly; cast it to a timestamp of microseconds'],
    [
      'wide',
      'wide',
      'decimal of 41 digits, which cannot be copied exactly; cast it to a decimal of at most 38 digits with a scale from 0, or to text.',
    ],
  ] as const)('refuses a column of %s that would lose digits: %s', async (name, column, reason) => {
    const path = file(`${name}.parquet`, ODD_PARQUET[name]);
    await expect(open(path, wanted(['text'], [column]))).rejects.toThrow(`Column "${column}" has values of type ${reason}`);
    expect(await cellsOf(await open(path, wanted(['text'])))).toEqual([[['a']]]);
  });

  it('carries nanoseconds without a time zone', async () => {
    const reader = await open(file('naive.parquet', ODD_PARQUET.wide), wanted([], ['naive']));
    expect(await cellsOf(reader)).toEqual([[['2023-11-14 22:13:20.123456789']]]);
  });

  it('carries times with a zone to the second wherever the node is', () => {
    const script = `require(process.argv[1]).openDuckDb([], 96)
      .then((connection) => connection.runAndReadAll('SELECT CAST(make_timestamptz(-3000000000123456) AS VARCHAR)'))
      .then((result) => console.log(result.getRows()[0][0]))`;
    const register = join(__dirname, '../../../../test/fixtures/register-ts.cjs');
    const env = { ...process.env, TZ: 'Europe/Amsterdam' }; // 17 minutes and 30 seconds ahead then
    const told = execFileSync(process.execPath, ['--require', register, '-e', script, join(__dirname, 'duckdb.ts')], { env });
    expect(told.toString().trim()).toBe('1874-12-07 18:39:59.876544+00');
  });

  it('refuses a wanted name that several columns have, and takes the others by their own', async () => {
    const sql = `SELECT 'a' AS text, 'b' AS texu, 'c' AS text_1, 'd' AS texv`;
    const path = renamed(await written('twice.parquet', sql), { texu: 'text', texv: 'Text' });
    await expect(open(path, wanted(['text']))).rejects.toThrow('Expected one column "text" but the file has several; rename the others.');
    expect(await cellsOf(await open(path, wanted(['text_1', 'Text'])))).toEqual([[['c'], ['d']]]);
  });
});

describe('a reader of Arrow', () => {
  it('refuses a wanted name that several columns have', async () => {
    const table = new Table({
      text: vectorFromArray(['a'], new Utf8()),
      id_1: vectorFromArray([1n], new Int64()),
      id_2: vectorFromArray(['x'], new Utf8()),
    });
    const path = renamed(file('columns.arrow', tableToIPC(table, 'stream')), { id_2: 'id_1' });
    await expect(openArrowReader(path, wanted(['text'], ['id_1']))).rejects.toThrow('Expected one column "id_1" but the file has several');
    expect(await cellsOf(await openArrowReader(path, wanted(['text'])))).toEqual([[['a']]]);
  });

  const stream = (name: string, values: Vector): string =>
    file(name, tableToIPC(new Table({ text: vectorFromArray(['a', 'b'], new Utf8()), v: values }), 'stream'));
  const made = (type: DataType, data: unknown, more: object = {}): Vector => makeVector({ type, data, ...more } as never);

  it('has nothing where a dictionary has null among its values', async () => {
    const dictionary = vectorFromArray(['one', null], new Utf8());
    const indices = made(new Dictionary(new Utf8(), new Int32()), new Int32Array([1, 0]), { dictionary });
    const reader = await openArrowReader(stream('null.arrow', indices), wanted(['v'], ['v']));
    expect(await cellsOf(reader)).toEqual([
      [
        [null, 'one'],
        [null, 'one'],
      ],
    ]);
  });

  it('takes no text that is not in the dictionary, and says so of the file', async () => {
    for (const index of [2, 99, -1]) {
      const dictionary = vectorFromArray(['one', 'two'], new Utf8());
      const indices = made(new Dictionary(new Utf8(), new Int32()), new Int32Array([1, index]), { dictionary });
      const reader = await openArrowReader(stream('beyond.arrow', indices), wanted(['v']));
      await expect(cellsOf(reader)).rejects.toThrow(BadTable);
    }
  });

  it.each<[string, Vector, string]>([
    ['a scale below 0', made(new Decimal(-2, 5, 128), new Uint32Array(8)), 'cast it to a decimal of at most 38 digits with a scale from 0'],
    [
      'bytes',
      made(new FixedSizeBinary(2), new Uint8Array(4)),
      'FixedSizeBinary[2], which cannot be copied exactly; write the file as Parquet.',
    ],
    ['times', made(new TimeMicrosecond(), new BigInt64Array(2)), 'cannot be copied exactly; write the file as Parquet.'],
    ['nanoseconds of a day', made(new TimeNanosecond(), new BigInt64Array(2)), 'expected texts, numbers, times or bytes.'],
    [
      'nanoseconds with a zone',
      made(new TimestampNanosecond('UTC'), new BigInt64Array(2)),
      'cast it to a timestamp of microseconds, or to text.',
    ],
    ['a dictionary of numbers', vectorFromArray([1, 2], new Dictionary(new Int32(), new Int32())), 'write the file as Parquet.'],
  ])('refuses to carry %s, and says what works', async (_, values, reason) => {
    const opened = openArrowReader(stream('refused.arrow', values), wanted(['text'], ['v']));
    await expect(opened).rejects.toThrow(reason);
    await expect(opened).rejects.toThrow('Column "v" has values of type');
  });

  it('carries nanoseconds that DuckDB can write, and names the column of others', async () => {
    const times = (...values: bigint[]): string => stream('ns.arrow', made(new TimestampNanosecond(), new BigInt64Array(values)));
    const max = 2n ** 63n - 1n;
    expect(await cellsOf(await openArrowReader(times(-9223286400000000000n, max - 1n), wanted([], ['v'])))).toEqual([
      [['1677-09-22 00:00:00.000000000', '2262-04-11 23:47:16.854775806']],
    ]);
    for (const value of [-9223286400000000001n, -max, max]) {
      const reader = await openArrowReader(times(0n, value), wanted([], ['v']));
      await expect(cellsOf(reader)).rejects.toThrow('Column "v" has values of type Timestamp<NANOSECOND> such as ');
    }
  });

  it('refuses a wanted column with a NUL in its name', async () => {
    const table = new Table({ 'te\0xt': vectorFromArray(['a'], new Utf8()) });
    const opened = openArrowReader(file('nul.arrow', tableToIPC(table, 'stream')), wanted(['te\0xt']));
    await expect(opened).rejects.toThrow('The name of column "te\\u0000xt" has a NUL character; rename it.');
  });

  it('takes no part of a stream for the whole, and no first of several', async () => {
    const table = new Table({ text: vectorFromArray(['a'], new Utf8()) });
    const bytes = tableToIPC(table, 'stream');
    const read = async (content: Uint8Array): Promise<Cell[][][]> =>
      cellsOf(await openArrowReader(file('stream.arrow', content), wanted(['text'])));
    expect([await read(bytes), await read(tableToIPC(table, 'file'))]).toEqual([[[['a']]], [[['a']]]]);
    await expect(read(bytes.subarray(0, -8))).rejects.toThrow('The Arrow stream has no mark at its end');
    await expect(read(Buffer.concat([bytes, bytes]))).rejects.toThrow('The file has a second Arrow stream behind the first');
    await expect(read(Buffer.concat([bytes, Buffer.from('more')]))).rejects.toThrow(BadTable);
  });
});
