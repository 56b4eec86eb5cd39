import { createReadStream } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import type { Compression } from '@app/batches';
import { checkNames, type Cell, type TableReader, type WantedColumns } from './table-reader';
import { BadTable } from './table-task';

/** What the one column of a text file is called. */
const TEXT_COLUMN = 'text';
const NEWLINE = 0x0a;
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const GROUP_ROWS = 1024;

/** The bytes of a file, unpacked. Throws `BadTable` for what is broken. */
export async function* unpackedBytes(path: string, compression: Compression | null): AsyncGenerator<Buffer, void, void> {
  const bytes = createReadStream(path);
  if (compression === null) return yield* bytes as AsyncIterable<Buffer>;
  try {
    yield* bytes.pipe(unpacker(compression, bytes)) as AsyncIterable<Buffer>;
  } catch (error) {
    if (error instanceof BadTable) throw error;
    throw new BadTable(`The file cannot be unpacked: ${(error as Error).message.slice(0, 200)}.`);
  }
}

/** zstd is in Node.js since 22.15. Throws `BadTable`. */
export function checkCanUnpack(compression: Compression | null): void {
  if (compression !== 'zstd' || 'createZstdDecompress' in zlib) return;
  throw new BadTable(
    'Expected gzip but the file is packed by zstd, which needs a server on Node.js 22.15 or later; pack it by gzip, or unpack it.',
  );
}

function unpacker(compression: Compression, source: Readable): zlib.Gunzip {
  checkCanUnpack(compression);
  const { createZstdDecompress } = zlib as typeof zlib & { createZstdDecompress?: () => zlib.Gunzip };
  const unpacking = compression === 'gzip' ? zlib.createGunzip() : (createZstdDecompress as () => zlib.Gunzip)();
  source.on('error', (error) => unpacking.destroy(error));
  return unpacking;
}

/** Each line that is not blank is a row. Throws `BadTable` for text that is not UTF-8 and for lines that are too long. */
export function openTextReader(path: string, compression: Compression | null, rowBytesMax: number, wanted: WantedColumns): TableReader {
  checkNames(wanted, [TEXT_COLUMN]);
  if (wanted.lists.length > 0)
    throw new BadTable(`Lines of text have no lists, as ${JSON.stringify(wanted.lists[0])} asks for.`, 'invalid_column');
  const copies = wanted.carried.length + wanted.texts.length;
  return {
    columns: wanted.carried.map((name) => ({ name, type: 'VARCHAR' })),
    async *groups(): AsyncGenerator<Cell[][], void, void> {
      let rows: string[] = [];
      for await (const row of textLines(path, compression, rowBytesMax)) {
        rows.push(row);
        if (rows.length < GROUP_ROWS) continue;
        yield Array.from({ length: copies }, () => rows);
        rows = [];
      }
      if (rows.length > 0) yield Array.from({ length: copies }, () => rows);
    },
  };
}

async function* textLines(path: string, compression: Compression | null, bytesMax: number): AsyncGenerator<string, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  let line = 0;
  let isStart = true;
  for await (const part of unpackedBytes(path, compression)) {
    rest = rest.length === 0 ? part : Buffer.concat([rest, part]);
    if (isStart && rest.length >= MARK.length) {
      if (rest.subarray(0, MARK.length).equals(MARK)) rest = rest.subarray(MARK.length);
      isStart = false;
    }
    let start = 0;
    for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE, start)) {
      const text = textOf(rest.subarray(start, end), ++line, bytesMax);
      if (text !== null) yield text;
      start = end + 1;
    }
    rest = rest.subarray(start);
    if (rest.length > bytesMax) throw tooLong(line + 1, bytesMax);
  }
  const text = textOf(rest, line + 1, bytesMax);
  if (text !== null) yield text;
}

/** Null: the line is blank. */
function textOf(bytes: Buffer, line: number, bytesMax: number): string | null {
  if (bytes.length > bytesMax) throw tooLong(line, bytesMax);
  if (!isUtf8(bytes))
    throw new BadTable(`Line ${line} is not valid UTF-8; convert the file, for example with iconv.`, 'invalid_table', line);
  const text = bytes.toString('utf8').replace(/\r$/, '');
  return text.trim() === '' ? null : text;
}

const tooLong = (line: number, bytesMax: number): BadTable =>
  new BadTable(`Line ${line} is longer than ${bytesMax} bytes; split it or raise batch.rowBytesMax.`, 'invalid_table', line);
