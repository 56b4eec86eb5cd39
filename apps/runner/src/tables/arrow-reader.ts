import { isUtf8 as isUtf8Bytes } from 'node:buffer';
import { open } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { Binary, type Data, DataType, LargeBinary, RecordBatchReader, type RecordBatch, Vector } from 'apache-arrow';
import type { TableColumn } from '@app/batches';
import { decimalText, dateText, timestampText } from './exact-text';
import { checkNames, notCarried, notText, type Cell, type TableReader, type WantedColumns } from './table-reader';
import { BadTable } from './table-task';

const FILE_MAGIC = Buffer.from('ARROW1');
/** By `TimeUnit`: the type, and how many of the unit are a second. */
const TIMESTAMPS = [
  { type: 'TIMESTAMP_S', perSecond: 1n },
  { type: 'TIMESTAMP_MS', perSecond: 1_000n },
  { type: 'TIMESTAMP', perSecond: 1_000_000n },
  { type: 'TIMESTAMP_NS', perSecond: 1_000_000_000n },
] as const;
const NANOSECONDS = 3;
const DECIMAL_DIGITS_MAX = 38;

type ToText = (vector: Vector, row: number) => string;

/** Rows of Arrow IPC, the file and the stream form, one record batch in memory. Throws `BadTable`. */
export async function openArrowReader(path: string, wanted: WantedColumns): Promise<TableReader> {
  const reader = await explained(openReader(path));
  const types = new Map(reader.schema.fields.map(({ name, type }) => [name, type as DataType]));
  const names = reader.schema.fields.map(({ name }) => name);
  checkNames(wanted, names);
  const typeOf = (name: string): DataType => types.get(name) as DataType;
  const carried = wanted.carried.map((name) => ({ name, ...carriedAs(name, typeOf(name)) }));
  for (const name of wanted.texts) if (!isText(typeOf(name))) throw notText(name, String(typeOf(name)), 'texts');
  for (const name of wanted.lists) if (!isListOfTexts(typeOf(name))) throw notText(name, String(typeOf(name)), 'lists of texts');
  return {
    columns: carried.map(({ name, type }): TableColumn => ({ name, type })),
    async *groups(): AsyncGenerator<Cell[][], void, void> {
      const batches = reader[Symbol.asyncIterator]();
      for (;;) {
        const next = await explained(Promise.resolve(batches.next()));
        if (next.done === true) return;
        yield groupOf(next.value, carried, wanted);
      }
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
function textAt(vector: Vector, row: number): string {
  const [data] = vector.data;
  const { dictionary } = data ?? {};
  if (vector.data.length !== 1 || data === undefined) throw new BadTable('A record batch has a column in several parts.');
  const bytes = (
    dictionary === undefined ? bytesOf(vector).get(row) : bytesOf(dictionary).get(Number((data.values as ArrayLike<number | bigint>)[row]))
  ) as Uint8Array;
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
  if (DataType.isDictionary(type)) throw notCarried(name, String(type));
  if (DataType.isBool(type)) return { type: 'BOOLEAN', toText: plain };
  if (DataType.isInt(type)) return { type: integerType(type.bitWidth, type.isSigned), toText: plain };
  if (DataType.isFloat(type)) return { type: type.precision === 2 ? 'DOUBLE' : 'FLOAT', toText: floatText };
  if (DataType.isDecimal(type) && type.precision <= DECIMAL_DIGITS_MAX)
    return {
      type: `DECIMAL(${type.precision},${type.scale})`,
      toText: (vector, row) => decimalText(vector.get(row) as Uint32Array, type.scale),
    };
  if (DataType.isDate(type) && type.unit === 0) return { type: 'DATE', toText: (vector, row) => dateText(rawValue(vector, row)) };
  if (DataType.isTimestamp(type)) return timestampAs(name, type.unit, type.timezone ?? null, String(type));
  throw notCarried(name, String(type));
}

function timestampAs(name: string, unit: number, timezone: string | null, shown: string): { type: string; toText: ToText } {
  const known = TIMESTAMPS[unit];
  // There is no type with a time zone that counts nanoseconds.
  if (known === undefined || (timezone !== null && unit === NANOSECONDS)) throw notCarried(name, shown);
  const toText: ToText = (vector, row) => `${timestampText(rawValue(vector, row), known.perSecond)}${timezone === null ? '' : '+00'}`;
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

async function explained<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof BadTable) throw error;
    const { message } = error as Error;
    const remedy = /compress|codec/i.test(message) ? '; write it without compression, or as Parquet' : '';
    throw new BadTable(`The Arrow file cannot be read: ${message.slice(0, 200)}${remedy}.`);
  }
}
