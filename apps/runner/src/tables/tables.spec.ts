import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import * as zlib from 'node:zlib';
import {
  DateDay,
  Decimal,
  Dictionary,
  Float64,
  Int32,
  Int64,
  makeVector,
  Table,
  tableToIPC,
  TimestampMicrosecond,
  Utf8,
  vectorFromArray,
  type DataType,
  type Vector,
} from 'apache-arrow';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import {
  formatOfName,
  newBatchId,
  PreparedRowsWriter,
  readPreparedRows,
  uploadLimits,
  type BatchView,
  type TableInput,
  type TableOutput,
} from '@app/batches';
import type { OpenRunner } from '../open-runner';
import { EchoEngine } from '../testing/echo-engine';
import { openTestRunner } from '../testing/open-test-runner';
import { echoRows, toJsonl, Workspace } from '../testing/workspace';

let workspace: Workspace;
let runner: OpenRunner;
let duckDb: DuckDBConnection;
let inputs: string;
let roots: string;
const engine = new EchoEngine();

beforeAll(async () => {
  roots = realpathSync(mkdtempSync(join(tmpdir(), 'il-roots-')));
  workspace = new Workspace({ chunkRows: 64, inputRoots: [roots] });
  inputs = join(workspace.directory, 'inputs');
  mkdirSync(inputs);
  await workspace.redis.start();
  runner = await openTestRunner(workspace.config, engine);
  duckDb = await (await DuckDBInstance.create(':memory:')).connect();
});
afterAll(async () => {
  await runner.close(0);
  await workspace.close();
  rmSync(roots, { recursive: true, force: true });
});

const query = async (sql: string): Promise<unknown[][]> => (await duckDb.runAndReadAll(sql)).getRowsJson();

/** The rows of `sql` as a file. */
async function write(name: string, sql: string, options = 'FORMAT parquet'): Promise<string> {
  const path = join(inputs, name);
  await duckDb.run(`COPY (${sql}) TO '${path}' (${options})`);
  return path;
}

/** Runs a file as a batch; the output, if there is one, is beside it. */
async function run(
  path: string,
  input: Partial<TableInput>,
  output: Partial<TableOutput> & { format: TableOutput['format'] },
  onBegun: (batchId: string) => Promise<void> = () => Promise.resolve(),
): Promise<{ batch: BatchView; outputPath: string }> {
  const fileId = await workspace.upload(readFileSync(path), path);
  const batchId = await workspace.createBatch(
    fileId,
    {},
    {
      table: {
        input: {
          kind: 'table',
          uri: null,
          format: formatOfName(path),
          columns: { input: 'text' },
          idColumn: null,
          model: 'echo',
          ...input,
        },
        output: { columns: [], ...output },
        hasPreparedRows: true,
      },
    },
  );
  await onBegun(batchId);
  const batch = await workspace.untilOver(batchId);
  const outputPath = `${path}.output.${output.format}`;
  writeFileSync(outputPath, await workspace.readBytes(batch.output_file_id));
  return { batch, outputPath };
}

describe('a batch of a table', () => {
  it('gives a Parquet file with a row for each of its rows, in order, and values as they were', async () => {
    const path = await write(
      'reviews.parquet',
      `SELECT 9007199254740993 + i AS id, CASE WHEN i % 100 = 7 THEN NULL WHEN i % 100 = 9 THEN 'bad' ELSE 'text ' || i END AS text,
        TIMESTAMP '2024-02-29 12:34:56.789012' + to_microseconds(i) AS at, CAST(i / 7 AS DECIMAL(38, 10)) AS price, i / 3.0::FLOAT AS share,
        CASE WHEN i % 3 = 0 THEN NULL ELSE chr(34) || chr(10) || i END AS "a ""note""", make_timestamptz(1700000000000001 + i) AS zoned,
        md5(i::VARCHAR)::UUID AS uuid, encode('é' || i) AS bytes, (i % 2 = 0) AS even, DATE '0001-01-01' + i::INTEGER AS day,
        make_timestamp_ns(1700000000123456789 + i) AS ns
      FROM range(1000) t(i)`,
      'FORMAT parquet, ROW_GROUP_SIZE 2048',
    );
    const kept = ['at', 'price', 'share', 'a "note"', 'zoned', 'uuid', 'bytes', 'even', 'day', 'ns'];
    const { batch, outputPath } = await run(path, { idColumn: 'id' }, { format: 'parquet', columns: kept });
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 1000, completed: 980, failed: 20 } });
    expect(await query(`DESCRIBE SELECT * EXCLUDE (result, error) FROM '${outputPath}'`)).toEqual(
      await query(`DESCRIBE SELECT id, * EXCLUDE (id, text) FROM '${path}'`),
    );
    const names = ['id', ...kept].map((name) => `"${name.replaceAll('"', '""')}"`).join(', ');
    const both = `SELECT ${names} FROM '${path}' EXCEPT ALL SELECT ${names} FROM '${outputPath}'`;
    expect(await query(both)).toEqual([]);
    const rows = await query(`SELECT id, result, error FROM '${outputPath}'`);
    expect(rows.map(([id]) => id)).toEqual(Array.from({ length: 1000 }, (_, i) => String(9007199254740993n + BigInt(i))));
    expect(rows[0]).toEqual(['9007199254740993', '{"echo":"text 0"}', null]);
    expect(rows[7]).toEqual(['9007199254741000', null, 'input: expected a string but received null']);
    expect(rows[9]).toEqual(['9007199254741002', null, 'the model refused it']);
    const errors = await workspace.readLines(batch.error_file_id);
    expect(errors.map(({ custom_id: id }) => id).slice(0, 2)).toEqual(['9007199254741000', '9007199254741002']);
  });

  it('has the rows that have an answer or an error when it is cancelled', async () => {
    const path = await write('cancelled.parquet', `SELECT i AS id, 'text ' || i AS text FROM range(5000) t(i)`);
    const letGo = engine.holdFrom(100);
    const { batch, outputPath } = await run(path, { idColumn: 'id' }, { format: 'parquet' }, async (batchId) => {
      await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 64);
      await workspace.batches.requestCancel(batchId);
    });
    letGo();
    expect(batch.status).toBe('cancelled');
    const rows = await query(`SELECT id, error FROM '${outputPath}' ORDER BY id`);
    const { completed } = batch.request_counts;
    expect(rows.filter(([, error]) => error === null)).toHaveLength(completed);
    expect(rows.slice(0, 100)).toEqual(Array.from({ length: 100 }, (_, i) => [String(i), null]));
    const errors = await workspace.readLines(batch.error_file_id);
    expect(rows).toHaveLength(completed + errors.length);
    expect(rows.length).toBeLessThan(5000);
  });

  it('has its answers once on the disk, and lines of errors', async () => {
    const path = await write(
      'once.parquet',
      `SELECT i AS id, CASE WHEN i = 70 THEN 'bad' ELSE 'text ' || i END AS text FROM range(200) t(i)`,
    );
    const { batch } = await run(path, { idColumn: 'id' }, { format: 'parquet' });
    expect(batch.request_counts).toEqual({ total: 200, completed: 199, failed: 1 });
    const chunks = join(workspace.directory, 'batches', batch.id, 'chunks');
    for (let looks = 0; looks < 200 && readdirSync(chunks).length > 1; looks++) await sleep(20);
    expect(readdirSync(chunks)).toEqual(['1']);
    expect(await workspace.readLines(batch.error_file_id)).toMatchObject([{ custom_id: '70' }]);
  });

  it('takes cells of CSV as they are', async () => {
    const path = join(inputs, 'cells.csv');
    const cells = ['id,text,note', '007,"a ""quoted"", text",', '08,"two\nlines",""', '9e2,  spaces  ,x', '1.0,ünï,"\r\n"'];
    writeFileSync(path, `\uFEFF${cells.join('\r\n')}\r\n`);
    const { batch, outputPath } = await run(path, { idColumn: 'id' }, { format: 'csv', columns: ['note'] });
    expect(batch).toMatchObject({ status: 'completed', errors: null });
    expect(readFileSync(outputPath, 'utf8')).toBe(
      [
        'id,note,result,error',
        '007,,"{""echo"":""a \\""quoted\\"", text""}",',
        '08,"","{""echo"":""two\\nlines""}",',
        '9e2,x,"{""echo"":""  spaces  ""}",',
        '1.0,"\r\n","{""echo"":""ünï""}",',
        '',
      ].join('\n'),
    );
  });

  it('takes columns without a name, and texts that begin with a byte order mark', async () => {
    const path = join(inputs, 'index.csv');
    writeFileSync(path, ',text\n0,\uFEFFone\n1,"5"" \uFEFF"\n2,5" three\n');
    const { batch, outputPath } = await run(path, { idColumn: 'column0' }, { format: 'csv' });
    expect([batch.status, batch.errors]).toEqual(['completed', null]);
    expect(readFileSync(outputPath, 'utf8').split('\n').slice(1, 4)).toEqual([
      '0,"{""echo"":""\uFEFFone""}",',
      '1,"{""echo"":""5\\"" \uFEFF""}",',
      '2,"{""echo"":""5\\"" three""}",',
    ]);
  });

  it.each(['cells.csv.gz', 'cells.csv.zst'])('unpacks %s', async (name) => {
    const options = `FORMAT csv, HEADER, COMPRESSION ${name.endsWith('gz') ? 'gzip' : 'zstd'}`;
    const path = await write(name, `SELECT i AS id, 'text ' || i AS text FROM range(300) t(i)`, options);
    const { batch, outputPath } = await run(path, { idColumn: 'id' }, { format: 'parquet' });
    if (name.endsWith('zst') && !('createZstdDecompress' in zlib)) {
      expect(batch.errors?.data).toMatchObject([
        { message: expect.stringContaining('needs a server on Node.js 22.15 or later') as string },
      ]);
      return;
    }
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 300, completed: 300 } });
    expect(await query(`SELECT id, result FROM '${outputPath}' LIMIT 1 OFFSET 299`)).toEqual([['299', '{"echo":"text 299"}']]);
  });

  it('reads texts of Arrow to the last byte, and none that is not UTF-8', async () => {
    const texts = ['\uFEFFone', '', 'ü \u{1F600}', '\uFEFFone'];
    const column = <T extends DataType>(values: unknown[], type: T): Vector<T> => vectorFromArray(values as never[], type);
    const whole = join(inputs, 'marks.arrow');
    const table = new Table({ text: column(texts, new Utf8()), kind: column(texts, new Dictionary(new Utf8(), new Int32())) });
    writeFileSync(whole, tableToIPC(table, 'file'));
    const { batch, outputPath } = await run(whole, {}, { format: 'parquet', columns: ['kind'] });
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 4, completed: 4 } });
    expect(await query(`SELECT hex(encode(kind)), hex(encode(result->>'echo')) FROM '${outputPath}'`)).toEqual(
      texts.map((text) => Array(2).fill(Buffer.from(text).toString('hex').toUpperCase()) as string[]),
    );
    const bad = join(inputs, 'bad.arrow');
    const bytes = Buffer.from(tableToIPC(new Table({ text: column(['first', 'broken'], new Utf8()) }), 'file'));
    bytes[bytes.indexOf('broken')] = 0xff;
    writeFileSync(bad, bytes);
    const { batch: refused } = await run(bad, {}, { format: 'csv' });
    expect(refused.errors?.data).toMatchObject([{ message: 'A text in row 2 of a record batch is not valid UTF-8.' }]);
  });

  it.each(['file', 'stream'] as const)('reads the %s form of Arrow without losing a digit', async (form) => {
    const micros = 1_709_210_096_789_012n;
    const column = <T extends DataType>(values: unknown[], type: T): Vector<T> => vectorFromArray(values as never[], type);
    const table = new Table({
      id: column([9007199254740993n, -1n, 3n], new Int64()),
      text: column(['one', 'zwei "2"', null], new Utf8()),
      kind: column(['a', 'b', 'a'], new Dictionary(new Utf8(), new Int32())),
      at: makeVector({ type: new TimestampMicrosecond(), data: new BigInt64Array([micros, -1n, 0n]) } as never),
      day: makeVector({ type: new DateDay(), data: new Int32Array([0, -1, 19_782]) } as never),
      price: makeVector({ type: new Decimal(2, 20, 128), data: new Uint32Array([12345, 0, 0, 0, -5, -1, -1, -1, 0, 1, 0, 0]) } as never),
      share: column([0.1, -0, 1e300], new Float64()),
    });
    const path = join(inputs, `table-${form}.arrow`);
    writeFileSync(path, tableToIPC(table, form));
    const columns = ['kind', 'at', 'day', 'price', 'share'];
    const { batch, outputPath } = await run(path, { idColumn: 'id' }, { format: 'parquet', columns });
    expect([batch.status, batch.errors]).toEqual(['completed', null]);
    expect(await query(`SELECT * EXCLUDE (result, error) FROM '${outputPath}'`)).toEqual([
      ['9007199254740993', 'a', '2024-02-29 12:34:56.789012', '1970-01-01', '123.45', 0.1],
      ['-1', 'b', '1969-12-31 23:59:59.999999', '1969-12-31', '-0.05', -0],
      ['3', 'a', '1970-01-01 00:00:00', '2024-02-29', '42949672.96', 1e300],
    ]);
  });

  it('makes a row of each line of text, and numbers them', async () => {
    const path = join(inputs, 'lines.txt');
    writeFileSync(path, zlib.gzipSync('one\r\n\n  \ntwo "2"\nthree'));
    const { outputPath } = await run(path, { format: 'text' }, { format: 'parquet', columns: ['text'] });
    expect(await query(`SELECT custom_id, text, result FROM '${outputPath}'`)).toEqual([
      ['row-1', 'one', '{"echo":"one"}'],
      ['row-2', 'two "2"', '{"echo":"two \\"2\\""}'],
      ['row-3', 'three', '{"echo":"three"}'],
    ]);
  });

  it('runs packed JSON Lines as if they were not packed', async () => {
    const rows = echoRows(200);
    const plain = await workspace.untilOver(await workspace.submit(rows));
    const fileId = await workspace.upload(zlib.gzipSync(toJsonl(rows)), 'rows.jsonl.gz');
    const packed = await workspace.untilOver(
      await workspace.createBatch(fileId, {}, { table: { input: null, output: null, hasPreparedRows: true } }),
    );
    const answers = async (batch: BatchView): Promise<unknown[]> =>
      (await workspace.readLines(batch.output_file_id)).map(({ custom_id: id, response }) => [id, response?.body]);
    expect(await answers(packed)).toEqual(await answers(plain));
    expect(await workspace.store.listNames(`batches/${packed.id}/rows/`)).toEqual([]);
  });

  it('gives a table of JSON Lines too', async () => {
    const fileId = await workspace.upload(toJsonl(echoRows(3)));
    const table = { input: null, output: { format: 'csv' as const, columns: [] }, hasPreparedRows: false };
    const batch = await workspace.untilOver(await workspace.createBatch(fileId, {}, { table }));
    expect(await workspace.readText(batch.output_file_id)).toBe(
      'custom_id,result,error\nrow-0,"{""echo"":""text 0""}",\nrow-1,"{""echo"":""text 1""}",\nrow-2,"{""echo"":""text 2""}",\n',
    );
  });
});

describe('a URI', () => {
  const input = (uri: string): TableInput => ({
    kind: 'table',
    uri,
    format: 'parquet',
    columns: { input: 'text' },
    idColumn: null,
    model: 'echo',
  });
  const submit = async (uri: string): Promise<BatchView> => {
    const table = { input: input(uri), output: { format: 'csv' as const, columns: [] }, hasPreparedRows: true };
    return workspace.untilOver(await workspace.createBatch(null, {}, { table }));
  };

  it('is read below a folder that batches may read, and nowhere else', async () => {
    const path = await write('by-uri.parquet', `SELECT 'text ' || i AS text FROM range(3) t(i)`);
    mkdirSync(roots, { recursive: true });
    copyFileSync(path, join(roots, 'a [b]*?.parquet'));
    symlinkSync(path, join(roots, 'link.parquet'));
    const batch = await submit(pathToFileURL(join(roots, 'a [b]*?.parquet')).href);
    expect(batch).toMatchObject({ status: 'completed', input_file_id: null, request_counts: { total: 3, completed: 3 } });
    for (const name of ['link.parquet', '../inputs/by-uri.parquet', 'nothing.parquet', '']) {
      const refused = await submit(`file://${roots}/${name}`);
      expect([refused.status, refused.errors?.data[0]?.code]).toEqual(['failed', 'file_not_found']);
    }
    expect((await submit('s3://other/key.parquet')).errors?.data[0]?.message).toBe(
      's3://other/key.parquet is not in a bucket of batch.inputBuckets.',
    );
  });

  it('has the rows that were prepared first, whole, whoever prepares them again', async () => {
    const limits = uploadLimits(workspace.config.batch);
    const prepare = async (text: string): Promise<void> => {
      const writer = await PreparedRowsWriter.begin(workspace.store, batchId, limits);
      await writer.append(Buffer.from(text));
      await writer.commit([]);
    };
    const batchId = newBatchId();
    await prepare('{"a":1}\n{"a":2}\n');
    await prepare('{"b":1}\n');
    const rows = await readPreparedRows(workspace.store, batchId);
    expect(rows?.table.rowCount).toBe(2);
    expect((await workspace.store.listNames(`batches/${batchId}/rows/`)).length).toBe(2);
  });
});

describe('a table that cannot be run', () => {
  const idsOf = (sql: string) => write('ids.parquet', `SELECT ${sql} AS id, 'text ' || i AS text FROM range(1000) t(i)`);

  it('names every id that is missing or there twice', async () => {
    const path = await idsOf('CASE WHEN i = 3 THEN NULL WHEN i = 900 THEN 5 ELSE i END');
    const { batch } = await run(path, { idColumn: 'id' }, { format: 'parquet' });
    expect(batch.status).toBe('failed');
    expect(batch.errors?.data.map(({ code, line }) => [code, line])).toEqual([
      ['invalid_custom_id', 4],
      ['duplicate_custom_id', 901],
    ]);
  });

  it.each<[string, Partial<TableInput>, string]>([
    ['a column that is not there', { columns: { input: 'Text' } }, 'There is no column "Text"; the table has "id", "text".'],
    [
      'all columns that are not there',
      { columns: { input: 'Text' }, idColumn: 'key' },
      'There are no columns "Text", "key"; the table has "id", "text".',
    ],
    ['an id that is not there', { idColumn: 'key' }, 'There is no column "key"; the table has "id", "text".'],
    ['numbers for texts', { columns: { input: 'id' } }, 'Expected texts in column "id" but it has BIGINT.'],
    ['another format', { format: 'arrow' }, 'Expected a file of arrow but its first bytes are those of parquet.'],
  ])('says so for %s', async (_, input, message) => {
    const { batch } = await run(await idsOf('i'), input, { format: 'parquet' });
    expect([batch.status, batch.errors?.data]).toEqual(['failed', [expect.objectContaining({ message })]]);
  });

  it('says where CSV is broken', async () => {
    const path = join(inputs, 'broken.csv');
    writeFileSync(path, 'id,text\n1,one\n2,two,three\n3,"four\n');
    const { batch } = await run(path, { idColumn: 'id' }, { format: 'csv' });
    expect([batch.status, batch.errors?.data]).toEqual(['failed', [expect.objectContaining({ code: 'invalid_table', line: 3 })]]);
  });

  it.each([
    ['a quote that is never closed', 'open.csv', Buffer.from('id,text\n1,one\n2,"two\n3,three\n')],
    ['a packed file that was cut', 'cut.csv.gz', zlib.gzipSync(`id,text\n${'1,one\n'.repeat(1000)}`).subarray(0, -10)],
  ])('takes no part of CSV for the whole: %s', async (_, name, bytes) => {
    const path = join(inputs, name);
    writeFileSync(path, bytes);
    const { batch } = await run(path, {}, { format: 'csv' });
    expect([batch.status, batch.errors?.data[0]?.code]).toEqual(['failed', 'invalid_table']);
  });

  it('survives files that are cut or overwritten', async () => {
    const whole = readFileSync(await write('whole.parquet', `SELECT 'text ' || i AS text FROM range(5000) t(i)`));
    const broken = [40, 200, whole.length - 60, whole.length - 4].map((at) => {
      const bytes = Buffer.from(whole);
      bytes.fill(0xff, at, at + 4);
      return bytes;
    });
    for (const [i, bytes] of [...broken, whole.subarray(0, whole.length / 2)].entries()) {
      const path = join(inputs, `broken-${i}.parquet`);
      writeFileSync(path, bytes);
      const { batch } = await run(path, {}, { format: 'parquet' });
      // What a changed byte of a text is, nobody can tell.
      if (batch.status === 'failed') expect(batch.errors?.data[0]?.code).toBe('invalid_table');
      else expect(batch.request_counts.total).toBe(5000);
    }
  });
});
