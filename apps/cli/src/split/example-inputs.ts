import { DATATYPES, numberToFloat16, type Datatype, type ModelSignature, type Tensor, type TensorSpec } from '@app/contracts';
import type { OnnxDim, OnnxValue } from '@app/onnx-file';

/** Of runs whose shapes tell the axes apart: rows, and the length of the first named axis; those of others are 2 more each. */
const SMALL_RUNS = [
  { rows: 2, length: 5 },
  { rows: 3, length: 11 },
];
const LENGTH_STEP = 2;
/** Of the run whose times count. */
const LENGTH = 128;
/** Masked places at the end of each second row. */
const MASKED = 2;

/** Names that name nothing, as `axis_names.cc` has them: two axes that are called so need not be equal. */
const PLACEHOLDER = /^(?:\P{L}*|none|null|nil|nan|unk|unknown|dyn|dynamic|undef|any|n\/a|<unk>)$/iu;

/** `axes` of `model.yaml`. */
export interface AxesSettings {
  batch?: string;
  sequence?: string | string[];
  inputs?: Record<string, (string | null)[]>;
}

/** An input of the model with what is known of its axes. */
export interface NamedInput {
  name: string;
  dims: OnnxDim[] | null;
}

/** Inputs as the graph declares them, with the names of `model.yaml`, and without names that name nothing. */
export function namedInputs(declared: readonly OnnxValue[], { batch, sequence, inputs = {} }: AxesSettings): NamedInput[] {
  const asked = new Set([batch ?? [], sequence ?? []].flat());
  const nameOf = (dim: OnnxDim, own: string | null): OnnxDim => {
    if (own !== null) return own;
    return typeof dim === 'string' && PLACEHOLDER.test(dim) && !asked.has(dim) ? null : dim;
  };
  return declared.map(({ name, dims }) => ({ name, dims: dims?.map((dim, d) => nameOf(dim, inputs[name]?.[d] ?? null)) ?? null }));
}

/** An axis of the inputs that varies, with its sizes in each run. Without a name: all such axes of the model. */
export interface ExampleAxis {
  name: string | null;
  sizes: number[];
}

/** Made-up inputs for several runs of different sizes. The last one is the run whose times count. */
export interface Examples {
  runs: Tensor[][];
  axes: ExampleAxis[];
  /** Of the last run. */
  rows: number;
  length: number;
  /** Name of dimension 0 of all inputs, over which rows are stacked; null: there is none. */
  rowAxis: string | null;
}

/** Made-up inputs for a model; the names of axes are those of `declared`. */
export function exampleInputs(signature: ModelSignature, declared: readonly NamedInput[], rowTokensMax: number | null): Examples {
  const hasSequence = signature.inputs.some(({ axes }) => axes.some((axis) => axis.startsWith('sequence')));
  const length = hasSequence ? Math.min(LENGTH, rowTokensMax ?? LENGTH) : 1;
  const last = { rows: 1, length };
  const inputs = signature.inputs.map((spec) => ({ spec, names: namesOf(spec, declared) }));
  const names = [...new Set(inputs.flatMap(({ spec, names: own }) => own.filter((_, d) => spec.shape[d] === -1)))];
  const rowAxis = inputs.flatMap(({ spec, names: own }) => own.filter((_, d) => spec.axes[d] === 'batch'))[0] ?? null;
  const others = names.filter((name) => name !== rowAxis);
  const axes = names.map((name): ExampleAxis => {
    if (name === rowAxis) return { name, sizes: [...SMALL_RUNS, last].map(({ rows }) => rows) };
    const more = LENGTH_STEP * others.indexOf(name);
    return { name, sizes: [...SMALL_RUNS.map((run) => Math.min(run.length + more, rowTokensMax ?? Infinity)), length] };
  });
  const random = randomNumbers();
  const runs = [...SMALL_RUNS, last].map((_, run) =>
    inputs.map(({ spec, names: own }) => {
      const shape = spec.shape.map((size, d) => (size >= 0 ? size : (axes.find(({ name }) => name === own[d])?.sizes[run] ?? 1)));
      return madeUpTensor(spec, shape, random);
    }),
  );
  return { runs, axes, ...last, rowAxis };
}

/** Names of the axes along which a model pads rows that share a run, in its order; those of values between stages have the same. */
export function paddedAxes({ coalesce, inputs }: ModelSignature, declared: readonly NamedInput[]): string[] {
  if (coalesce !== 'padded') return [];
  const named = inputs.flatMap((spec) => namesOf(spec, declared).map((name, d) => ({ name, role: spec.axes[d] ?? 'fixed' })));
  const ofSequence = named.filter(({ role }) => role.startsWith('sequence')).sort((a, b) => a.role.localeCompare(b.role));
  return [...new Set(ofSequence.flatMap(({ name }) => name ?? []))];
}

/** Names of an input's axes. Those of rows and lengths have one in any case, because stages need it. */
function namesOf({ name, shape, axes }: TensorSpec, declared: readonly NamedInput[]): (string | null)[] {
  const dims = declared.find((value) => value.name === name)?.dims ?? [];
  return shape.map((_, d) => {
    const dim = dims[d];
    const role = axes[d];
    return typeof dim === 'string' ? dim : role === 'batch' || role?.startsWith('sequence') ? (role as string) : null;
  });
}

function madeUpTensor({ name, datatype }: TensorSpec, shape: number[], random: () => number): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const isMask = name.toLowerCase().includes('mask');
  const [last = 1] = shape.slice(-1);
  const isMasked = (i: number): boolean => last > MASKED && Math.floor(i / last) % 2 === 1 && i % last >= last - MASKED;
  // Small integers: most are indexes into tables of unknown length.
  const value = (i: number): number => (isMask ? Number(!isMasked(i)) : isFloat(datatype) ? 2 * random() - 1 : Math.floor(2 * random()));
  return {
    name,
    datatype,
    shape,
    data: encode(
      datatype,
      Array.from({ length: count }, (_, i) => value(i)),
    ),
  };
}

const isFloat = (datatype: Datatype): boolean => datatype.startsWith('FP') || datatype === 'BF16';

/** Strings are digits. */
function encode(datatype: Datatype, values: number[]): Uint8Array {
  if (datatype === 'BYTES') return Buffer.concat(values.map((value) => Buffer.from([1, 0, 0, 0, ...Buffer.from(`${value}`)])));
  const { bytes } = DATATYPES[datatype];
  const data = Buffer.alloc(values.length * bytes);
  for (const [i, value] of values.entries()) write(data, datatype, { at: i * bytes, value, bytes });
  return data;
}

function write(data: Buffer, datatype: Datatype, { at, value, bytes }: { at: number; value: number; bytes: number }): void {
  if (datatype === 'FP64') data.writeDoubleLE(value, at);
  else if (datatype === 'FP32') data.writeFloatLE(value, at);
  else if (datatype === 'FP16') data.writeUInt16LE(numberToFloat16(value), at);
  else if (datatype === 'BF16') data.writeUInt16LE(Buffer.from(Float32Array.of(value).buffer).readUInt16LE(2), at);
  else data.writeUIntLE(value, at, Math.min(bytes, 6));
}

/** From 0 to 1, the same each time. */
function randomNumbers(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
