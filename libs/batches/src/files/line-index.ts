import { InterleaveError } from '@app/contracts';
import { BYTE_ORDER_MARK, isUtf16, UTF16_REMEDY } from './text-encoding';

/** Consecutive rows of a file: one unit of work. Offsets in bytes, `firstRow` from 0, `firstLine` from 1. */
export interface Chunk {
  index: number;
  offset: number;
  /** First byte after the chunk. */
  end: number;
  firstRow: number;
  rowCount: number;
  firstLine: number;
}

export interface IndexLimits {
  chunkRows: number;
  /** A chunk ends early when it is this long, so that long rows do not make huge chunks. */
  chunkBytesMax: number;
  rowsMax: number;
  rowBytesMax: number;
}

const ENTRY_NUMBERS = 3;
const NEWLINE = 0x0a;

/**
 * Finds the chunks of a JSONL file while its bytes pass by. A row is a line with anything but white space on it; blank
 * lines belong to the chunk before them.
 */
export class LineIndexer {
  private readonly starts: number[] = [];
  private bytes = 0;
  private rows = 0;
  private line = 1;
  private lineStart = 0;
  private lineIsBlank = true;

  constructor(private readonly limits: IndexLimits) {}

  get byteCount(): number {
    return this.bytes;
  }

  get rowCount(): number {
    return this.rows;
  }

  /** Throws `too_large`, naming the line, for a row over the limits, and `invalid_request` for UTF-16. */
  push(part: Uint8Array): void {
    const buffer = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    let position = this.skipMark(buffer);
    while (position < buffer.length) {
      const newline = buffer.indexOf(NEWLINE, position);
      const end = newline === -1 ? buffer.length : newline;
      this.extendLine(buffer, position, end);
      if (newline === -1) break;
      this.line += 1;
      this.lineStart = this.bytes + newline + 1;
      this.lineIsBlank = true;
      position = newline + 1;
    }
    this.bytes += buffer.length;
  }

  /** Length of the piece of the file's byte order mark that this part holds. Throws for the mark of UTF-16. */
  private skipMark(part: Buffer): number {
    if (this.bytes === 0 && isUtf16(part))
      throw new InterleaveError('invalid_request', `The file is UTF-16 but a batch file is UTF-8; ${UTF16_REMEDY}`, { param: 'file' });
    let length = 0;
    while (this.bytes + length < BYTE_ORDER_MARK.length && part[length] === BYTE_ORDER_MARK[this.bytes + length]) length += 1;
    return length;
  }

  /** The index of everything pushed, in the form that `decodeLineIndex` reads. */
  encode(): Buffer {
    return Buffer.from(new Float64Array(this.starts).buffer);
  }

  private extendLine(buffer: Buffer, start: number, end: number): void {
    if (this.lineIsBlank) {
      for (let i = start; i < end; i++) {
        if (isWhiteSpace(buffer[i])) continue;
        this.startRow();
        break;
      }
    }
    if (this.bytes + end - this.lineStart > this.limits.rowBytesMax) {
      throw new InterleaveError(
        'too_large',
        `Line ${this.line} is longer than ${this.limits.rowBytesMax} bytes; split the row or raise batch.rowBytesMax`,
        { param: 'file' },
      );
    }
  }

  private startRow(): void {
    this.lineIsBlank = false;
    const chunkOffset = this.starts.at(-ENTRY_NUMBERS);
    const chunkRow = this.starts.at(-ENTRY_NUMBERS + 1);
    const isNewChunk =
      chunkOffset === undefined ||
      chunkRow === undefined ||
      this.rows - chunkRow >= this.limits.chunkRows ||
      this.lineStart - chunkOffset >= this.limits.chunkBytesMax;
    if (isNewChunk) this.starts.push(this.lineStart, this.rows, this.line);
    this.rows += 1;
    if (this.rows > this.limits.rowsMax) {
      throw new InterleaveError('too_large', `The file has more than ${this.limits.rowsMax} rows; split it or raise batch.rowsMax`, {
        param: 'file',
      });
    }
  }
}

/** The chunks of a file; 24 bytes of memory each. */
export class ChunkTable {
  constructor(
    private readonly starts: Float64Array,
    /** Where its last chunk ends. */
    readonly byteCount: number,
    readonly rowCount: number,
  ) {}

  /** Chunks that begin where these do and end at the next one, or where `whole` ends. */
  static of(chunks: readonly Chunk[], whole: Pick<ChunkTable, 'byteCount' | 'rowCount'>): ChunkTable {
    const starts = Float64Array.from(chunks.flatMap(({ offset, firstRow, firstLine }) => [offset, firstRow, firstLine]));
    return new ChunkTable(starts, whole.byteCount, whole.rowCount);
  }

  get chunkCount(): number {
    return this.starts.length / ENTRY_NUMBERS;
  }

  /** In the form that `decodeLineIndex` reads. */
  encode(): Buffer {
    return Buffer.from(this.starts.buffer, this.starts.byteOffset, this.starts.byteLength);
  }

  /** Throws a `RangeError` for an index that the file does not have. */
  chunk(index: number): Chunk {
    const [offset, firstRow, firstLine] = this.starts.subarray(index * ENTRY_NUMBERS, (index + 1) * ENTRY_NUMBERS);
    if (offset === undefined || firstRow === undefined || firstLine === undefined) {
      throw new RangeError(`expected a chunk below ${this.chunkCount} but received ${index}`);
    }
    const end = this.starts[(index + 1) * ENTRY_NUMBERS] ?? this.byteCount;
    const nextRow = this.starts[(index + 1) * ENTRY_NUMBERS + 1] ?? this.rowCount;
    return { index, offset, end, firstRow, rowCount: nextRow - firstRow, firstLine };
  }
}

/** Of a file, or of chunks that were made of one. */
export function decodeLineIndex(encoded: Buffer, file: { bytes: number; rows: number }): ChunkTable {
  // A copy, because the bytes of a Buffer need not be aligned for doubles.
  const starts = new Float64Array(new Uint8Array(encoded).buffer);
  if (starts.length % ENTRY_NUMBERS !== 0) throw new Error(`line index of ${encoded.length} bytes is not whole`);
  return new ChunkTable(starts, file.bytes, file.rows);
}

/** JSON's white space without the line end: space, tab, carriage return. */
export function isWhiteSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}
