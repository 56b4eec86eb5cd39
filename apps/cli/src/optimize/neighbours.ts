import {
  bfloat16ToNumber,
  DATATYPES,
  float16ToNumber,
  InterleaveError,
  type Datatype,
  type InferenceItem,
  type ModelSignature,
  type Tensor,
} from '@app/contracts';
import type { LocalModel, LocalNode } from '../local-node';

/** Rows that share the run with the one that is looked at. */
const NEIGHBOURS_MAX = 7;

/** What rounding may change, as shares of the largest number of the column and of the output: as libs/native/src/session/answer_diff.cc has it. */
const TOLERANCES: Partial<Record<Datatype, { ofColumn: number; ofOutput: number }>> = {
  FP32: { ofColumn: 2e-5, ofOutput: 1e-5 },
  FP64: { ofColumn: 2e-5, ofOutput: 1e-5 },
  FP16: { ofColumn: 5e-3, ofOutput: 1e-3 },
  BF16: { ofColumn: 4e-2, ofOutput: 8e-3 },
};

/** What other rows of a run do to a row's answer. */
export interface Company {
  /** `none`: the model takes one row at a time, or no two rows were accepted. */
  with: 'equal-length' | 'padded' | 'none';
  /** Every byte is the same. */
  isIdentical: boolean;
  /** The same within rounding. */
  isIndependent: boolean;
  /** Largest absolute difference. */
  difference: number;
}

const NO_COMPANY: Company = { with: 'none', isIdentical: true, isIndependent: true, difference: 0 };

/**
 * Runs a row alone and in one run with others, by stacking them as one caller's tensors: of equal length first, then with rows of
 * other lengths, padded. What the worker makes of `mergeRows` has no say in it.
 */
export async function testCompany(
  node: LocalNode,
  model: LocalModel,
  items: readonly InferenceItem[],
  { signature, padValues }: { signature: ModelSignature; padValues: Record<string, number> },
): Promise<Company[]> {
  if (!signature.inputs.some(({ axes }) => axes.includes('batch'))) return [NO_COMPANY];
  const rows = [...items].sort((a, b) => tokensOf(a, signature) - tokensOf(b, signature));
  const first = rows[0];
  if (first === undefined || rows.length < 2) return [NO_COMPANY];
  const others = spread(rows.slice(1));
  const equal = [first, ...others.map((item) => cutAs(item, first, signature))];
  const isSequence = tokensOf(first, signature) > 0;
  const companies: [Company['with'], InferenceItem[]][] = [
    ['equal-length', equal],
    ...(isSequence && tokensOf(rows.at(-1) as InferenceItem, signature) > tokensOf(first, signature)
      ? ([['padded', [first, ...others]]] as [Company['with'], InferenceItem[]][])
      : []),
  ];
  const found: Company[] = [];
  for (const [kind, members] of companies) {
    const [alone, together] = await node.run(model, [first, stack(members, signature, padValues)]);
    if (alone === undefined || alone instanceof InterleaveError) throw alone ?? new Error('no answer');
    // A run that is refused shows that such rows cannot share one.
    if (together === undefined || together instanceof InterleaveError)
      found.push({ with: kind, isIdentical: false, isIndependent: false, difference: Infinity });
    else found.push({ with: kind, ...compare(alone.outputs, together.outputs, signature) });
  }
  return found;
}

/** Evenly over all lengths, the longest among them. */
function spread(rows: readonly InferenceItem[]): InferenceItem[] {
  if (rows.length <= NEIGHBOURS_MAX) return [...rows];
  const step = (rows.length - 1) / (NEIGHBOURS_MAX - 1);
  return Array.from({ length: NEIGHBOURS_MAX }, (_, i) => rows[Math.round(i * step)] as InferenceItem);
}

const axesOf = (signature: ModelSignature, name: string): string[] => signature.inputs.find((spec) => spec.name === name)?.axes ?? [];

/** Sizes of all sequence axes together; 0: it has none. */
function tokensOf({ inputs }: InferenceItem, signature: ModelSignature): number {
  const sizes = new Map<string, number>();
  for (const { name, shape } of inputs)
    axesOf(signature, name).forEach((axis, i) => axis.startsWith('sequence') && sizes.set(axis, shape[i] as number));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** A longer row, cut to the lengths of another one. */
function cutAs(item: InferenceItem, other: InferenceItem, signature: ModelSignature): InferenceItem {
  const inputs = item.inputs.map((tensor, i) => {
    const wanted = other.inputs[i]?.shape ?? tensor.shape;
    const axes = axesOf(signature, tensor.name);
    return resize(
      tensor,
      tensor.shape.map((size, axis) => (axes[axis]?.startsWith('sequence') ? (wanted[axis] as number) : size)),
      0,
    );
  });
  return { ...item, inputs };
}

/** All rows as one item, padded to the longest. */
function stack(items: readonly InferenceItem[], signature: ModelSignature, padValues: Record<string, number>): InferenceItem {
  const [first] = items as [InferenceItem];
  const inputs = first.inputs.map((tensor, i) => {
    const batch = axesOf(signature, tensor.name).indexOf('batch');
    const parts = items.map((item) => item.inputs[i] as Tensor);
    const shape = tensor.shape.map((_, axis) => Math.max(...parts.map((part) => part.shape[axis] as number)));
    const padded = parts.map((part) =>
      resize(
        part,
        shape.map((size, axis) => (axis === batch ? (part.shape[axis] as number) : size)),
        padValues[tensor.name] ?? 0,
      ),
    );
    return batch < 0 ? tensor : joined(padded, batch);
  });
  return { ...first, inputs };
}

/** Along `axis`; all other sizes are equal. */
function joined(parts: readonly Tensor[], axis: number): Tensor {
  const [first] = parts as [Tensor];
  const shape = first.shape.map((size, i) => (i === axis ? parts.reduce((sum, part) => sum + (part.shape[i] as number), 0) : size));
  const outer = first.shape.slice(0, axis).reduce((product, size) => product * size, 1);
  const slices = Array.from({ length: outer }, (_, i) =>
    parts.map(({ data }) => data.subarray((i * data.byteLength) / outer, ((i + 1) * data.byteLength) / outer)),
  );
  return { ...first, shape, data: Buffer.concat(slices.flat()) };
}

/** Cut or filled at the end of each axis; texts are cut along their first axis only. */
function resize(tensor: Tensor, shape: readonly number[], value: number): Tensor {
  const bytes = DATATYPES[tensor.datatype].bytes;
  if (shape.every((size, axis) => size === tensor.shape[axis])) return tensor;
  const count = shape.reduce((product, size) => product * size, 1);
  if (bytes === null) return { ...tensor, shape: [...shape], data: firstTexts(tensor.data, count) };
  const data = Buffer.alloc(count * bytes, elementOf(value, tensor.datatype, bytes));
  const copy = (axis: number, from: number, to: number): void => {
    const kept = Math.min(tensor.shape[axis] as number, shape[axis] as number);
    if (axis === shape.length - 1) {
      data.set(tensor.data.subarray(from * bytes, (from + kept) * bytes), to * bytes);
      return;
    }
    for (let i = 0; i < kept; i++) copy(axis + 1, (from + i) * (tensor.shape[axis + 1] as number), (to + i) * (shape[axis + 1] as number));
  };
  copy(0, 0, 0);
  return { ...tensor, shape: [...shape], data };
}

/** Each is its length as uint32 and so many bytes. */
function firstTexts(data: Uint8Array, count: number): Uint8Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = 0;
  for (let i = 0; i < count && end < data.byteLength; i++) end += 4 + view.getUint32(end, true);
  return data.subarray(0, end);
}

function elementOf(value: number, datatype: Datatype, bytes: number): Buffer {
  if (datatype === 'FP32') return Buffer.from(Float32Array.of(value).buffer);
  if (datatype === 'FP64') return Buffer.from(Float64Array.of(value).buffer);
  return Buffer.from(BigInt64Array.of(BigInt(Math.trunc(value))).buffer).subarray(0, bytes);
}

function compare(alone: readonly Tensor[], together: readonly Tensor[], signature: ModelSignature): Omit<Company, 'with'> {
  const verdict = { isIdentical: true, isIndependent: true, difference: 0 };
  for (const expected of alone) {
    const whole = together.find(({ name }) => name === expected.name);
    const axes = signature.outputs.find(({ name }) => name === expected.name)?.axes ?? [];
    if (whole === undefined || !axes.includes('batch')) return { isIdentical: false, isIndependent: false, difference: Infinity };
    const actual = resize(whole, expected.shape, 0);
    if (Buffer.compare(expected.data, actual.data) === 0) continue;
    verdict.isIdentical = false;
    const { difference, isWithin } = differenceOf(expected, actual, whole);
    verdict.difference = Math.max(verdict.difference, difference);
    verdict.isIndependent &&= isWithin;
  }
  return verdict;
}

function differenceOf(expected: Tensor, actual: Tensor, whole: Tensor): { difference: number; isWithin: boolean } {
  const tolerance = TOLERANCES[expected.datatype];
  if (tolerance === undefined) return { difference: Infinity, isWithin: false };
  const [a, b, all] = [numbersOf(expected), numbersOf(actual), numbersOf(whole)];
  const width = expected.shape.length > 1 ? (expected.shape.at(-1) as number) : 1;
  const columns = new Array<number>(width).fill(0);
  all.forEach((value, i) => (columns[i % width] = Math.max(columns[i % width] as number, Math.abs(value))));
  const ofOutput = tolerance.ofOutput * Math.max(...columns);
  let difference = 0;
  let isWithin = true;
  a.forEach((value, i) => {
    const by = Object.is(value, b[i]) ? 0 : Math.abs(value - (b[i] as number));
    difference = Math.max(difference, by);
    isWithin &&= by <= tolerance.ofColumn * (columns[i % width] as number) + ofOutput;
  });
  return { difference, isWithin };
}

function numbersOf({ datatype, data }: Tensor): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const each = (bytes: number, read: (offset: number) => number): number[] =>
    Array.from({ length: data.byteLength / bytes }, (_, i) => read(i * bytes));
  if (datatype === 'FP64') return each(8, (offset) => view.getFloat64(offset, true));
  if (datatype === 'FP32') return each(4, (offset) => view.getFloat32(offset, true));
  return each(2, (offset) => (datatype === 'FP16' ? float16ToNumber : bfloat16ToNumber)(view.getUint16(offset, true)));
}
