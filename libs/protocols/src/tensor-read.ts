import { bfloat16ToNumber, DATATYPES, float16ToNumber, InterleaveError, type Tensor } from '@app/contracts';
import { doublesText } from '@app/native';
import { JsonText } from './json-numbers';

type Element = number | boolean | string | JsonText;

/** Without `ignoreBOM` it would take a byte order mark at the start of a string away. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The elements of a tensor as JSON values for `toJsonText`, in row-major order. Throws `inference_failed` for what JSON
 * cannot carry without loss: NaN, infinities, bytes that are not UTF-8.
 */
export function readTensor(tensor: Tensor): Element[] {
  const { datatype, data } = tensor;
  if (datatype === 'BYTES') return readStrings(tensor);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const bytes = DATATYPES[datatype].bytes;
  const read = elementReader(tensor, view);
  return Array.from({ length: Math.floor(data.byteLength / bytes) }, (_, i) => read(i * bytes));
}

/** As `readTensor`; FP32 and FP64 as the text of their array, which costs a third of what their numbers do. */
export function tensorToJson(tensor: Tensor): Element[] | JsonText {
  const floats = floatsOf(tensor);
  const text = floats === null ? null : doublesText(floats);
  // Where there is no text, `readTensor` says which number JSON cannot carry.
  return text === null ? readTensor(tensor) : new JsonText(text);
}

function floatsOf({ datatype, data }: Tensor): Float32Array | Float64Array | null {
  if (datatype !== 'FP32' && datatype !== 'FP64') return null;
  const size = datatype === 'FP32' ? 4 : 8;
  const { buffer, byteOffset } = data.byteOffset % size === 0 ? data : new Uint8Array(data);
  const count = Math.floor(data.byteLength / size);
  return datatype === 'FP32' ? new Float32Array(buffer, byteOffset, count) : new Float64Array(buffer, byteOffset, count);
}

/** Elements of a tensor arranged as nested arrays of its shape; a tensor without dimensions is one value. */
export function nest(elements: Element[], shape: readonly number[]): unknown {
  let level: unknown[] = elements;
  for (let axis = shape.length - 1; axis > 0; axis--) {
    const size = shape[axis] as number;
    const rowCount = shape.slice(0, axis).reduce((product, dimension) => product * dimension, 1);
    const rows = level;
    level = Array.from({ length: rowCount }, (_, i) => rows.slice(i * size, (i + 1) * size));
  }
  return shape.length === 0 ? level[0] : level;
}

function elementReader(tensor: Tensor, view: DataView): (offset: number) => Element {
  switch (tensor.datatype) {
    case 'BOOL':
      return (offset) => view.getUint8(offset) !== 0;
    case 'UINT8':
      return (offset) => view.getUint8(offset);
    case 'UINT16':
      return (offset) => view.getUint16(offset, true);
    case 'UINT32':
      return (offset) => view.getUint32(offset, true);
    case 'UINT64':
      return (offset) => exact(view.getBigUint64(offset, true));
    case 'INT8':
      return (offset) => view.getInt8(offset);
    case 'INT16':
      return (offset) => view.getInt16(offset, true);
    case 'INT32':
      return (offset) => view.getInt32(offset, true);
    case 'INT64':
      return (offset) => exact(view.getBigInt64(offset, true));
    case 'FP16':
      return (offset) => finite(float16ToNumber(view.getUint16(offset, true)), tensor);
    case 'BF16':
      return (offset) => finite(bfloat16ToNumber(view.getUint16(offset, true)), tensor);
    case 'FP32':
      return (offset) => finite(view.getFloat32(offset, true), tensor);
    case 'FP64':
      return (offset) => finite(view.getFloat64(offset, true), tensor);
    case 'BYTES':
      throw new InterleaveError('internal', 'strings have no fixed size');
  }
}

function readStrings(tensor: Tensor): string[] {
  const { data } = tensor;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const strings: string[] = [];
  for (let offset = 0; offset < data.byteLength;) {
    const end = offset + 4 + view.getUint32(offset, true);
    try {
      strings.push(decoder.decode(data.subarray(offset + 4, end)));
    } catch {
      throw notJson(tensor, 'bytes that are not UTF-8');
    }
    offset = end;
  }
  return strings;
}

/** `JSON.stringify` would write -0 without its sign. */
function finite(value: number, tensor: Tensor): number | JsonText {
  if (!Number.isFinite(value)) throw notJson(tensor, String(value));
  return value === 0 && Object.is(value, -0) ? new JsonText('-0.0') : value;
}

/** Beyond 2^53 `JSON.stringify` would write other digits, even of integers that a double holds. */
function exact(value: bigint): number | JsonText {
  const rounded = Number(value);
  return Number.isSafeInteger(rounded) ? rounded : new JsonText(String(value));
}

function notJson(tensor: Tensor, what: string): InterleaveError {
  const binary = 'ask for binary output in a live POST /v2/models/{model}/infer, with parameters.binary_data_output';
  return new InterleaveError('inference_failed', `the output "${tensor.name}" contains ${what}, which JSON cannot carry; ${binary}`);
}
