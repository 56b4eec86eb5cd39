import { bfloat16ToNumber, DATATYPES, float16ToNumber, type Datatype, type Task, type Tensor } from '@app/contracts';
import {
  combine,
  compareElements,
  compareScores,
  compareVectors,
  INCOMPARABLE,
  row,
  type Numbers,
  type RowComparison,
} from './compare-numbers';

const VECTORS: ReadonlySet<Task> = new Set(['embedding', 'sparse', 'multi-vector']);
const LABELS: ReadonlySet<Task> = new Set(['sequence-classification', 'token-classification']);
const FLOATS: ReadonlySet<Datatype> = new Set(['FP16', 'BF16', 'FP32', 'FP64']);

/**
 * The outputs of one item from two versions, `rows` in number: 1, unless the first dimension of all outputs counts rows.
 * By task the floats of a row are one vector, or scores whose last dimension has the labels, or numbers each for itself.
 * Integers and strings must be equal. Floats of different widths are compared by value. Outputs of other names, shapes or
 * kinds cannot be compared.
 */
export function compareTensors(task: Task, stable: readonly Tensor[], tested: readonly Tensor[], rows: number): RowComparison[] {
  const pairs = stable.map((tensor) => [tensor, tested.find(({ name }) => name === tensor.name)] as const);
  const fits = stable.length === tested.length && pairs.every(([a, b]) => b !== undefined && isAlike(a, b));
  if (!fits) return new Array<RowComparison>(rows).fill(INCOMPARABLE);
  const outputs = pairs.map(([a, b]) => compareOutput(task, a, b as Tensor, rows));
  return Array.from({ length: rows }, (_, i) => combine(outputs.map((output) => output[i] as RowComparison)));
}

const isAlike = (a: Tensor, b: Tensor): boolean =>
  a.shape.length === b.shape.length &&
  a.shape.every((size, i) => size === b.shape[i]) &&
  (a.datatype === b.datatype || (FLOATS.has(a.datatype) && FLOATS.has(b.datatype)));

function compareOutput(task: Task, stable: Tensor, tested: Tensor, rows: number): RowComparison[] {
  if (!FLOATS.has(stable.datatype)) return compareExact(stable, tested, rows);
  const [own, other] = [floatsOf(stable), floatsOf(tested)];
  const width = own.length / rows;
  const labels = stable.shape.at(-1) ?? 1;
  return Array.from({ length: rows }, (_, i) => {
    const part = (values: Float32Array | Float64Array): Numbers => values.subarray(i * width, (i + 1) * width);
    if (VECTORS.has(task)) return compareVectors(part(own), part(other));
    if (LABELS.has(task) && labels > 1) return compareScores(part(own), part(other), labels);
    return compareElements(part(own), part(other));
  });
}

/** Rows of strings have no fixed size: they are compared as a whole. */
function compareExact(stable: Tensor, tested: Tensor, rows: number): RowComparison[] {
  const { bytes } = DATATYPES[stable.datatype];
  if (bytes === null) return new Array<RowComparison>(rows).fill(row({ agrees: Buffer.compare(stable.data, tested.data) === 0 }));
  const width = stable.data.byteLength / rows;
  return Array.from({ length: rows }, (_, i) => {
    const [own, other] = [stable, tested].map(({ data }) => data.subarray(i * width, (i + 1) * width)) as [Uint8Array, Uint8Array];
    const agrees = Buffer.compare(own, other) === 0;
    return row({ agrees, difference: agrees ? 0 : integerDifference(stable.datatype, own, other) });
  });
}

function integerDifference(datatype: Datatype, own: Uint8Array, other: Uint8Array): number {
  const [a, b] = [integersOf(datatype, own), integersOf(datatype, other)];
  let largest = 0;
  // Of 64 bits as well: the difference is exact, and rounded afterwards.
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(Number(BigInt(a[i] as number) - BigInt(b[i] as number))));
  return largest;
}

function integersOf(datatype: Datatype, data: Uint8Array): ArrayLike<number | bigint> {
  const { buffer } = new Uint8Array(data);
  switch (datatype) {
    case 'INT8':
      return new Int8Array(buffer);
    case 'INT16':
      return new Int16Array(buffer);
    case 'UINT16':
      return new Uint16Array(buffer);
    case 'INT32':
      return new Int32Array(buffer);
    case 'UINT32':
      return new Uint32Array(buffer);
    case 'INT64':
      return new BigInt64Array(buffer);
    case 'UINT64':
      return new BigUint64Array(buffer);
    default:
      return new Uint8Array(buffer);
  }
}

function floatsOf({ datatype, data }: Tensor): Float32Array | Float64Array {
  // A copy: the bytes may lie anywhere.
  const { buffer } = new Uint8Array(data);
  if (datatype === 'FP64') return new Float64Array(buffer);
  if (datatype === 'FP32') return new Float32Array(buffer);
  return Float32Array.from(new Uint16Array(buffer), datatype === 'FP16' ? float16ToNumber : bfloat16ToNumber);
}
