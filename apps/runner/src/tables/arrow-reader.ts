import { isUtf8 as isUtf8Bytes } from 'node:buffer';
import { open } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { Binary, type Data, DataType, LargeBinary, RecordBatchReader, type RecordBatch, Vector } from 'apache-arrow';
import type { TableColumn } from '@app/batches';
import { decimalText, dateText, timestampText } from './exact-text';
import {
  DECIMAL_REMEDY,
  TIME_REMEDY,
  checkNames,
  notCarried,
  notText,
  type Cell,
  type TableReader,
  type WantedColumns,
} from './table-reader';
import { BadTable } from './table-task';

const STREAM_END = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
const FILE_MAGIC = Buffer.from('ARROW1');
/** By `TimeUnit`: the type, and how many of the unit are a second. */
const TIMESTAMPS = [
  { type: 'TIMESTAMP_S', perSecond: 1n },
  { type: 'TIMESTAMP_MS', perSecond: 1_000n },
  { type: 'TIMESTAMP', perSecond: 1_000_000n },
  { type: 'TIMESTAMP_NS', perSecond: 1_000_000_000n },
] as const;
const NANOSECONDS = 3;
/** What DuckDB writes as text: from the first whole day of what 64 bits hold, and all but the last nanosecond. */
const [NS_MIN, NS_MAX] = [BigInt(Date.UTC(1677, 8, 22)) * 1_000_000n, 2n ** 63n - 2n];
const DECIMAL_DIGITS_MAX = 38;

type ToText = (vector: Vector, row: number) => string | null;

/** Rows of Arrow IPC, the file and the stream form, one record batch in memory. Throws `BadTable`. */
export async function openArrowReader(path: string, wanted: WantedColumns): Promise<TableReader> {
  const reader = await explained(() => openReader(path));
  const types = new Map(reader.schema.fields.map(({ name, type }) => [name, type as DataType]));
  const names = reader.schema.fields.map(({ name }) => name);
  checkNames(wanted, names);
  const typeOf = (name: string): DataType => types.get(name) as DataType;
  const carried = wanted.carried.map((name) => ({ name, ...carriedAs(name, typeOf(name)) }));
  const noTextIn = (name: string, expected: string): BadTable => {
    const type = String(typeOf(name));
    return notText(name, type.includes('View') ? `${type}, which is read of Parquet only` : type, expected);
  };
  for (const name of wanted.texts) if (!isText(typeOf(name))) throw noTextIn(name, 'texts');
  for (const name of wanted.lists) if (!isListOfTexts(typeOf(name))) throw noTextIn(name, 'lists of texts');
  return {
    columns: carried.map(({ name, type }): TableColumn => ({ name, type })),
    async *groups(): AsyncGenerator<Cell[][], void, void> {
      const batches = reader[Symbol.asyncIterator]();
      for (;;) {
        const next = await explained(async () => batches.next());
        if (next.done === true) break;
        yield await explained(async () => groupOf(next.value, carried, wanted));
      }
      await explained(() => checkEnd(path, reader));
    },
  };
}

async function openReader(path: string): Promise<RecordBatchReader> {
  const file = await open(path, 'r');
  const { buffer } = await file.read(Buffer.alloc(FILE_MAGIC.length), 0, FILE_MAGIC.length, 0);
  const isFile = buffer.equals(FILE_MAGIC);
  if (!isFile) await file.close();
  const reader = isFile ? await RecordBatchReader.from(file) : await RecordBatchReader.from(createReadStream(path));
  return (await reader.open({ autoDestroy: false })) as RecordBatchReader;
}

/** Throws for a stream that was cut between two batches, which the package takes for whole, and for what follows it. */
async function checkEnd(path: string, reader: RecordBatchReader): Promise<void> {
  if (reader.isFile()) return reader.cancel();
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const mark = Buffer.alloc(STREAM_END.length);
    await file.read(mark, 0, mark.length, Math.max(0, size - mark.length));
    // Streams of before 2019 have only the second half.
    const length = await file.read(Buffer.alloc(4), 0, 4, 0).then(({ buffer }) => (buffer.readInt32LE() === -1 ? 8 : 4));
    if (!mark.subarray(-length).equals(STREAM_END.subarray(-length)))
      throw new BadTable('The Arrow stream has no mark at its end, so that rows may be missing; close its writer, or write it again.');
  } finally {
    await file.close();
  }
  if (!(await reader.reset().open({ autoDestroy: false })).closed)
    throw new BadTable('The file has a second Arrow stream behind the first; write one stream, or a file of each.');
}

function groupOf(batch: RecordBatch, carried: readonly { name: string; toText: ToText }[], wanted: WantedColumns): Cell[][] {
  const column = (name: string, cellOf: (vector: Vector, row: number) => Cell): Cell[] => {
    const vector = batch.getChild(name) as Vector;
    return Array.from({ length: batch.numRows }, (_, row) => (vector.isValid(row) ? cellOf(vector, row) : null));
  };
  return [
    ...carried.map(({ name, toText }) => column(name, toText)),
    ...wanted.texts.map((name) => column(name, textAt)),
    ...wanted.lists.map((name) => column(name, textsAt)),
  ];
}

/** To the last byte: the package's own reading drops a byte order mark at the start, and replaces what is not UTF-8. */
function textAt(vector: Vector, row: number): string | null {
  const [data] = vector.data;
  const { dictionary } = data ?? {};
  if (vector.data.length !== 1 || data === undefined) throw new BadTable('A record batch has a column in several parts.');
  const at = dictionary === undefined ? row : Number((data.values as ArrayLike<number | bigint>)[row]);
  if (dictionary !== undefined && !(at >= 0 && at < dictionary.length))
    throw new BadTable(`Row ${row + 1} of a record batch has text ${at} of a dictionary with ${dictionary.length}.`);
  const bytes = bytesOf(dictionary ?? vector).get(at) as Uint8Array | null;
  if (bytes === null) return null; // a dictionary may have null among its values
  if (!isUtf8Bytes(bytes)) throw new BadTable(`A text in row ${row + 1} of a record batch is not valid UTF-8.`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function textsAt(vector: Vector, row: number): (string | null)[] {
  const texts = vector.get(row) as Vector;
  return Array.from({ length: texts.length }, (_, at) => (texts.isValid(at) ? textAt(texts, at) : null));
}

const bytesOf = (texts: Vector): Vector =>
  new Vector(texts.data.map((data: Data) => data.clone((DataType.isLargeUtf8(data.type) ? new LargeBinary() : new Binary()) as never)));

const plain: ToText = (vector, row) => String(vector.get(row));

/** JavaScript writes negative zero without its sign. */
const floatText: ToText = (vector, row) => (Object.is(vector.get(row), -0) ? '-0.0' : String(vector.get(row)));

function carriedAs(name: string, type: DataType): { type: string; toText: ToText } {
  const value = DataType.isDictionary(type) ? (type.dictionary as DataType) : type;
  if (isUtf8(value)) return { type: 'VARCHAR', toText: textAt };
  if (DataType.isDictionary(type)) throw notCarried(name, String(type), remedyOf(type));
  if (DataType.isBool(type)) return { type: 'BOOLEAN', toText: plain };
  if (DataType.isInt(type)) return { type: integerType(type.bitWidth, type.isSigned), toText: plain };
  if (DataType.isFloat(type)) return { type: type.precision === 2 ? 'DOUBLE' : 'FLOAT', toText: floatText };
  if (DataType.isDecimal(type)) {
    const { precision, scale } = type;
    if (precision > DECIMAL_DIGITS_MAX || scale < 0 || scale > precision)
      throw notCarried(name, `decimal of ${precision} digits, ${scale} of them behind the point`, DECIMAL_REMEDY);
    return {
      type: `DECIMAL(${precision},${scale})`,
      toText: (vector, row) => decimalText(vector.get(row) as Uint32Array, scale),
    };
  }
  if (DataType.isDate(type) && type.unit === 0) return { type: 'DATE', toText: (vector, row) => dateText(rawValue(vector, row)) };
  if (DataType.isTimestamp(type)) return timestampAs(name, type.unit, type.timezone ?? null, String(type));
  throw notCarried(name, String(type), remedyOf(type));
}

/** For what is carried of Parquet but not of Arrow. */
function remedyOf(type: DataType): string | undefined {
  const value = DataType.isDictionary(type) ? (type.dictionary as DataType) : type;
  const isNumber = DataType.isInt(value) || DataType.isFloat(value);
  const isBytes = DataType.isBinary(value) || DataType.isLargeBinary(value) || DataType.isFixedSizeBinary(value);
  const isTime = DataType.isDate(value) || (DataType.isTime(value) && value.unit !== NANOSECONDS);
  return isNumber || isBytes || isTime || /View$/.test(String(value)) ? 'write the file as Parquet' : undefined;
}

function timestampAs(name: string, unit: number, timezone: string | null, shown: string): { type: string; toText: ToText } {
  const known = TIMESTAMPS[unit];
  // There is no type with a time zone that counts nanoseconds.
  if (known === undefined || (timezone !== null && unit === NANOSECONDS)) throw notCarried(name, shown, TIME_REMEDY);
  const toText: ToText = (vector, row) => {
    const value = rawValue(vector, row);
    const text = `${timestampText(value, known.perSecond)}${timezone === null ? '' : '+00'}`;
    if (unit === NANOSECONDS && (value < NS_MIN || value > NS_MAX)) throw notCarried(name, `${shown} such as ${text}`, TIME_REMEDY);
    return text;
  };
  return { type: timezone === null ? known.type : 'TIMESTAMP WITH TIME ZONE', toText };
}

/** As it is stored: `get` rounds times to milliseconds. */
function rawValue(vector: Vector, row: number): bigint {
  const [data] = vector.data;
  const value = (data?.values as ArrayLike<number | bigint>)[row];
  if (vector.data.length !== 1 || value === undefined) throw new BadTable('A record batch has a column in several parts.');
  return BigInt(value);
}

const integerType = (bits: number, isSigned: boolean): string =>
  `${isSigned ? '' : 'U'}${{ 8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' }[bits] ?? 'BIGINT'}`;

const isUtf8 = (type: DataType): boolean => DataType.isUtf8(type) || DataType.isLargeUtf8(type);

const isText = (type: DataType): boolean => isUtf8(DataType.isDictionary(type) ? (type.dictionary as DataType) : type);

const isListOfTexts = (type: DataType): boolean => DataType.isList(type) && isText(type.valueType as DataType);

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BadTable) throw error;
    const { message } = error as Error;
    const reason = message.slice(0, 200).replace(/\.$/, '');
    throw new BadTable(`The Arrow file cannot be read: ${reason}${readingRemedy(message)}.`);
  }
}

function readingRemedy(message: string): string {
  if (/compress|codec/i.test(message)) return '; write it without compression, or as Parquet';
  return /unrecognized type/i.test(message) ? '; write columns of that type as plain values' : '';
}
