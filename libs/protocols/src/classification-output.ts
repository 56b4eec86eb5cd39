import { bfloat16ToNumber, DATATYPES, float16ToNumber, InterleaveError, type Datatype, type Tensor, type TensorSpec } from '@app/contracts';
import type { ServedModel } from '@app/models';
import { invalid, optionalInteger, type JsonObject } from './checks';

const CLASSES_MAX = 2 ** 31 - 1;
/** Numbers that are ranked for one output: 50 ms of the event loop. */
const RANKED_MAX = 262_144;
const NOT_RANKED: ReadonlySet<Datatype> = new Set(['BOOL', 'BYTES']);
/** Beyond it every double is an integer, which `toFixed` would write with an exponent at some point. */
const DIGITS_EXACT_MAX = 2 ** 53;

/**
 * `parameters.classification` of a requested output: so many classes are wanted in place of the tensor; null: the tensor.
 * 0 asks for the tensor, as in Triton. Refuses an output whose elements have no order.
 */
export function wantedClasses(parameters: JsonObject, spec: TensorSpec, path: string): number | null {
  const at = `${path}.parameters.classification`;
  const classes = optionalInteger(parameters.classification, at, { min: 0, max: CLASSES_MAX });
  if (classes === null || classes === 0) return null;
  if (NOT_RANKED.has(spec.datatype))
    throw invalid(`expected no ${at} because the output "${spec.name}" is ${spec.datatype}, not numbers; leave it out`, at);
  if (spec.axes.indexOf('batch') > 0)
    throw invalid(`expected no ${at} because the rows of the output "${spec.name}" are not in its first dimension; leave it out`, at);
  return classes;
}

/**
 * Triton's classification extension: the `classes` largest numbers of each row, largest first, as a BYTES tensor of
 * `<number>:<index>[:<label>]`. Its shape is [rows, classes], or [classes] where the output has no batch dimension; a row with
 * fewer numbers gives all it has. Throws `inference_failed` for NaN, which has no rank, and `invalid_request` for an output
 * of more numbers than are ranked.
 */
export function classificationOutput(tensor: Tensor, classes: number, model: ServedModel): Tensor {
  const { name, shape } = tensor;
  const isBatched = model.signature.outputs.find((spec) => spec.name === name)?.axes[0] === 'batch';
  const [rows, perRow] = [isBatched ? (shape[0] as number) : 1, (isBatched ? shape.slice(1) : shape).reduce((a, b) => a * b, 1)];
  if (rows * perRow > RANKED_MAX)
    throw invalid(
      `expected an output "${name}" of at most ${RANKED_MAX} numbers for its classification but it has ${rows * perRow}; send fewer rows, or ask for the tensor`,
      'outputs',
    );
  const values = numbersOf(tensor);
  const labels = labelsFor(model, name, perRow);
  const strings: string[] = [];
  for (let row = 0; row < rows; row++) {
    for (const { value, index } of largest(values.slice(row * perRow, (row + 1) * perRow), classes)) {
      const label = labels?.[index];
      strings.push(`${printed(value, tensor.datatype)}:${index}${label === undefined ? '' : `:${label}`}`);
    }
  }
  const kept = Math.min(classes, perRow);
  return { name, datatype: 'BYTES', shape: isBatched ? [rows, kept] : [kept], data: joined(strings) };
}

type Value = number | bigint;

/** Equal numbers in the order of their indices. */
function largest(values: Value[], count: number): { value: Value; index: number }[] {
  const ranked = values.map((value, index) => ({ value, index }));
  ranked.sort((a, b) => (a.value > b.value ? -1 : a.value < b.value ? 1 : a.index - b.index));
  return ranked.slice(0, count);
}

function numbersOf({ name, datatype, data }: Tensor): Value[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const bytes = DATATYPES[datatype].bytes ?? 1;
  const read = READERS[datatype];
  if (read === undefined) throw new InterleaveError('internal', `outputs of ${datatype} are not ranked`);
  return Array.from({ length: Math.floor(data.byteLength / bytes) }, (_, i) => {
    const value = read(view, i * bytes);
    if (typeof value === 'bigint' || !Number.isNaN(value)) return value;
    throw new InterleaveError(
      'inference_failed',
      `the output "${name}" contains NaN, which has no rank among its classes; ask for the tensor in binary`,
    );
  });
}

const READERS: Partial<Record<Datatype, (view: DataView, at: number) => Value>> = {
  UINT8: (view, at) => view.getUint8(at),
  UINT16: (view, at) => view.getUint16(at, true),
  UINT32: (view, at) => view.getUint32(at, true),
  UINT64: (view, at) => view.getBigUint64(at, true),
  INT8: (view, at) => view.getInt8(at),
  INT16: (view, at) => view.getInt16(at, true),
  INT32: (view, at) => view.getInt32(at, true),
  INT64: (view, at) => view.getBigInt64(at, true),
  FP16: (view, at) => float16ToNumber(view.getUint16(at, true)),
  BF16: (view, at) => bfloat16ToNumber(view.getUint16(at, true)),
  FP32: (view, at) => view.getFloat32(at, true),
  FP64: (view, at) => view.getFloat64(at, true),
};

const REAL: ReadonlySet<Datatype> = new Set(['FP16', 'BF16', 'FP32', 'FP64']);

/** As C++'s `std::to_string` writes it: integers with all digits, others with six decimals, ties to even. */
function printed(value: Value, datatype: Datatype): string {
  if (typeof value === 'bigint' || !REAL.has(datatype)) return String(value);
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  return sign + sixDecimals(Math.abs(value));
}

function sixDecimals(value: number): string {
  if (value >= DIGITS_EXACT_MAX) return `${BigInt(value)}.000000`;
  // Halfway between two results lie only odd multiples of 1/128, which have exactly seven decimals; `toFixed` rounds them up.
  const isTie = Math.abs((value * 128) % 2) === 1;
  const lower = value.toFixed(7).slice(0, -1);
  return isTie && Number(lower.at(-1)) % 2 === 0 ? lower : value.toFixed(6);
}

/** What belongs to the indices of an output: the model's labels, if it is the one output that has a number for each. `perRow`: those it has. */
function labelsFor({ labels, signature }: ServedModel, output: string, perRow: number): readonly string[] | null {
  if (labels?.length !== perRow) return null;
  const labelled = signature.outputs.filter(({ shape, axes }) => {
    const sizes = shape.filter((_size, i) => axes[i] !== 'batch');
    return sizes.length === 1 && (sizes[0] === labels.length || sizes[0] === -1);
  });
  const chosen = labelled.find(({ name }) => name === 'logits') ?? (labelled.length === 1 ? labelled[0] : undefined);
  return chosen?.name === output ? labels : null;
}

function joined(strings: readonly string[]): Buffer {
  const parts = strings.map((text) => Buffer.from(text));
  const data = Buffer.allocUnsafe(parts.reduce((sum, { length }) => sum + 4 + length, 0));
  let offset = 0;
  for (const part of parts) {
    offset = data.writeUInt32LE(part.length, offset);
    offset += part.copy(data, offset);
  }
  return data;
}
