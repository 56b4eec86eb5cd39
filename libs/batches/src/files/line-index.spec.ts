import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { decodeLineIndex, LineIndexer, type IndexLimits } from './line-index';
import { readRows, type RowLine } from './row-reader';
import { LOCAL_FILES } from '../storage/local-reader';
import { makeDataDir } from '../storage/testing/data-dir';

const LIMITS: IndexLimits = { chunkRows: 3, chunkBytesMax: 1000, rowsMax: 1000, rowBytesMax: 1000 };

function indexOf(parts: Uint8Array[], limits = LIMITS) {
  const indexer = new LineIndexer(limits);
  for (const part of parts) indexer.push(part);
  return decodeLineIndex(indexer.encode(), { bytes: indexer.byteCount, rows: indexer.rowCount });
}

const chunksOf = (table: ReturnType<typeof indexOf>) => Array.from({ length: table.chunkCount }, (_, index) => table.chunk(index));

describe('the line index', () => {
  const dataDir = makeDataDir();
  afterAll(() => dataDir.remove());

  it('cuts a chunk after its number of rows, and says where it lies', () => {
    const table = indexOf([Buffer.from('a\nb\nc\nd\n')]);
    expect(chunksOf(table)).toEqual([
      { index: 0, offset: 0, end: 6, firstRow: 0, rowCount: 3, firstLine: 1 },
      { index: 1, offset: 6, end: 8, firstRow: 3, rowCount: 1, firstLine: 4 },
    ]);
    expect(() => table.chunk(2)).toThrow(RangeError);
  });

  it('ends a chunk of long rows early', () => {
    const rows = ['x'.repeat(30), 'y'.repeat(30), 'z'].join('\n');
    expect(chunksOf(indexOf([Buffer.from(rows)], { ...LIMITS, chunkBytesMax: 40 })).map(({ rowCount }) => rowCount)).toEqual([2, 1]);
  });

  it('does not count blank lines as rows', () => {
    const table = indexOf([Buffer.from('\n \t\r\na\r\n\n\nb\n\n')]);
    expect(table.rowCount).toBe(2);
    expect(table.chunk(0)).toMatchObject({ offset: 5, firstLine: 3, rowCount: 2 });
  });

  it('does not count a byte order mark as a row, however it is cut', () => {
    const bytes = Buffer.from('\ufeff\r\na\n');
    for (const parts of [[bytes], [...bytes].map((byte) => Buffer.from([byte]))])
      expect(indexOf(parts)).toMatchObject({ rowCount: 1, chunkCount: 1 });
  });

  it('refuses UTF-16, and says what to do', () => {
    for (const bytes of [Buffer.from('\ufeff{}\n', 'utf16le'), Buffer.from('\ufeff{}\n', 'utf16le').swap16()])
      expect(() => indexOf([bytes])).toThrow(/UTF-16.*iconv/);
  });

  it.each([
    ['a row that is too long', { rowBytesMax: 3 }, 'Line 2 is longer than 3 bytes'],
    ['too many rows', { rowsMax: 1 }, 'more than 1 rows'],
  ])('refuses %s', (_what, limits, message) => {
    expect(() => indexOf([Buffer.from('a\nbbbb\n')], { ...LIMITS, ...limits })).toThrow(
      expect.objectContaining({ code: 'too_large', message: expect.stringContaining(message) }),
    );
  });

  it('agrees with the reader on every file, however it is cut into parts', async () => {
    const path = join(dataDir.path, 'any.jsonl');
    const line = fc.oneof(
      fc.constantFrom('', ' ', '\t\r', '\r', '\ufeff'),
      fc.string({ maxLength: 20 }).map((text) => text.replaceAll('\n', '')),
    );
    const property = fc.asyncProperty(
      fc.array(line, { maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      async (lines, partBytes, endsWithNewline) => {
        const bytes = Buffer.from(lines.join('\n') + (endsWithNewline ? '\n' : ''));
        const parts = Array.from({ length: Math.ceil(bytes.length / partBytes) }, (_, i) =>
          bytes.subarray(i * partBytes, (i + 1) * partBytes),
        );
        const table = indexOf(parts);
        await writeFile(path, bytes);
        const rows: { row: number; line: number; text: string }[] = [];
        for (const chunk of chunksOf(table)) {
          let rowsOfChunk = 0;
          for await (const group of readRows(LOCAL_FILES, path, chunk)) {
            rows.push(...group.map(toText));
            rowsOfChunk += group.length;
          }
          expect(rowsOfChunk).toBe(chunk.rowCount);
        }
        const expected = String(bytes)
          .replace(/^\ufeff/, '')
          .split('\n')
          .map((text, index) => ({ line: index + 1, text }))
          .filter(({ text }) => /[^ \t\r]/.test(text));
        expect(rows).toEqual(expected.map((row, index) => ({ row: index, ...row })));
      },
    );
    await fc.assert(property, { numRuns: 150, seed: 20261121 });
  });

  it('reads rows that are longer than its buffer, and skips a byte order mark', async () => {
    const path = join(dataDir.path, 'long.jsonl');
    const long = 'x'.repeat(600_000);
    await writeFile(path, `\ufeff${long}\n${long}y\nz`);
    const rows: RowLine[] = [];
    for await (const group of readRows(LOCAL_FILES, path, { offset: 0, end: 3 + 600_001 + 600_002 + 1, firstRow: 0, firstLine: 1 }))
      rows.push(...group.map((row) => ({ ...row, bytes: Buffer.from(row.bytes) })));
    expect(rows.map(({ bytes }) => bytes.length)).toEqual([600_000, 600_001, 1]);
  });
});

const toText = ({ row, line, bytes }: RowLine) => ({ row, line, text: String(bytes) });
