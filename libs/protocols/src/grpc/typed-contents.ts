import { DATATYPES, type Datatype } from '@app/contracts';
import { invalid } from '../checks';
import { WIRE, WireReader } from './wire-reader';

/** Elements that are decoded one by one, of one tensor: they hold the event loop for some 20 ms. */
const VARINTS_MAX = 1_048_576;
/** Values that lie one by one on the wire, of one tensor: strings, and numbers that a client did not pack. */
const CHUNKS_MAX = 65_536;

const NAMES = [
  '',
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
] as const;

/** The field of `InferTensorContents` in which elements of a datatype lie; none: raw only. */
const FIELDS: Partial<Record<Datatype, number>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
};

/** Of one value of a field that is no varint. */
const WIRE_TYPES: Record<number, number> = { 6: WIRE.fixed32, 7: WIRE.fixed64, 8: WIRE.bytes };

const INTEGER_BITS: Partial<Record<Datatype, number>> = { INT8: 8, INT16: 16, INT32: 32, UINT8: 8, UINT16: 16, UINT32: 32 };

interface Expected {
  datatype: Datatype;
  shape: readonly number[];
  count: number;
  path: string;
}

/** Whether any element is there. Several `contents` of one tensor are one, as protobuf has it. */
export function hasElements(contents: readonly Buffer[]): boolean {
  return contents.some((part) => part.length > 0);
}

/** The bytes of a tensor from its typed contents; a view of the message where these are its bytes already. */
export function readContents(contents: readonly Buffer[], expected: Expected): Uint8Array {
  const { datatype, count, path } = expected;
  const field = FIELDS[datatype];
  if (field === undefined)
    throw invalid(`expected raw_input_contents for ${datatype} but ${path} has typed contents; send its bytes as they are`, path);
  const chunks = chunksOf(contents, field, expected);
  if (datatype === 'BYTES') return joinStrings(chunks, expected);
  if (datatype === 'FP32' || datatype === 'FP64') return joinFixed(chunks, expected);
  if (count > VARINTS_MAX)
    throw invalid(
      `expected at most ${VARINTS_MAX} elements in ${path}.${NAMES[field]} but the shape has ${count}; send raw_input_contents`,
      path,
    );
  const data = new Uint8Array(count * DATATYPES[datatype].bytes);
  const put = elementWriter(datatype, data, `${path}.${NAMES[field]}`);
  let index = 0;
  for (const chunk of chunks) {
    const reader = new WireReader(chunk);
    for (; reader.hasMore; index++) {
      if (index === count) throw wrongCount(expected, field, `more than ${count}`);
      put(reader, index);
    }
  }
  if (index !== count) throw wrongCount(expected, field, String(index));
  return data;
}

/** The values of the field, packed or not: one view for each. Elements of another type are refused. */
function chunksOf(contents: readonly Buffer[], field: number, { datatype, path }: Expected): Buffer[] {
  const chunks: Buffer[] = [];
  for (const part of contents) {
    const reader = new WireReader(part);
    while (reader.next()) {
      if (reader.field >= NAMES.length) {
        reader.skip();
        continue;
      }
      if (reader.field !== field)
        throw invalid(`expected ${NAMES[field]} for ${datatype} in ${path} but received ${NAMES[reader.field]}`, path);
      if (chunks.length === CHUNKS_MAX)
        throw invalid(`expected at most ${CHUNKS_MAX} separate values in ${path}.${NAMES[field]}; send raw_input_contents`, path);
      chunks.push(reader.values(WIRE_TYPES[field] ?? WIRE.varint));
    }
  }
  return chunks;
}

/** Little-endian on the wire too: one packed field is the tensor. */
function joinFixed(chunks: readonly Buffer[], expected: Expected): Uint8Array {
  const { datatype, count } = expected;
  const elementBytes = DATATYPES[datatype].bytes as number;
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (bytes !== count * elementBytes) throw wrongCount(expected, FIELDS[datatype] as number, String(bytes / elementBytes));
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes);
}

function joinStrings(chunks: readonly Buffer[], expected: Expected): Uint8Array {
  if (chunks.length !== expected.count) throw wrongCount(expected, FIELDS.BYTES as number, String(chunks.length));
  const joined = Buffer.allocUnsafe(chunks.reduce((sum, chunk) => sum + 4 + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    offset = joined.writeUInt32LE(chunk.length, offset);
    offset += chunk.copy(joined, offset);
  }
  return joined;
}

type Put = (reader: WireReader, index: number) => void;

function elementWriter(datatype: Datatype, data: Uint8Array, path: string): Put {
  if (datatype === 'BOOL') return (reader, index) => (data[index] = reader.bool() ? 1 : 0);
  if (datatype === 'INT64' || datatype === 'UINT64') {
    const words = new Uint32Array(data.buffer);
    return (reader, index) => reader.words(words, index);
  }
  const bits = INTEGER_BITS[datatype] as number;
  const isSigned = datatype.startsWith('INT');
  const [min, max] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  const elements = bits === 8 ? data : bits === 16 ? new Uint16Array(data.buffer) : new Uint32Array(data.buffer);
  return (reader, index) => {
    const value = reader.int64();
    if (value < min || value > max)
      throw invalid(`expected an integer from ${min} to ${max} for element ${index} of ${path} but received ${value}`, path);
    elements[index] = value as number;
  };
}

function wrongCount({ shape, count, path }: Expected, field: number, received: string): Error {
  return invalid(
    `expected ${count} elements, as the shape [${shape.join(', ')}] has, for ${path}.${NAMES[field]} but received ${received}`,
    path,
  );
}
