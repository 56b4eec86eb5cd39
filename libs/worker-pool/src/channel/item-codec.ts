import {
  type Axis,
  DATATYPES,
  type Datatype,
  type InferenceItem,
  InterleaveError,
  type ItemResult,
  type ModelSignature,
  type Tensor,
  type TensorSpec,
} from '@app/contracts';
import type { ChannelTensor, Completion } from '@app/native';

/** Set aside at first for an output whose size cannot be known; the worker says when it takes more. */
const FREE_OUTPUT_BYTES = 64 * 1024;
/** Of strings, no more than this is set aside by what came in: all of it for each output could be more than there is. */
const TEXT_BYTES_MAX = 1024 * 1024;
/** For each output: its descriptor and the alignment of its data. */
const OUTPUT_OVERHEAD_BYTES = 160;
/** The header of the response, and room for an error message. */
const RESPONSE_OVERHEAD_BYTES = 1024;
const LENGTH_BYTES = 4;

const DATATYPE_BY_ONNX = new Map<number, Datatype>(
  (Object.keys(DATATYPES) as Datatype[]).map((datatype) => [DATATYPES[datatype].onnx, datatype]),
);

export interface EncodedItem {
  inputs: ChannelTensor[];
  outputs: number[] | null;
  /** Enough for the answer where it is exact. */
  responseBytes: number;
  /** False: an output has a `free` dimension or strings. */
  isExact: boolean;
}

/**
 * Replaces names by positions and computes the size of the answer. Throws `invalid_request` for inputs or outputs that
 * the model does not have, or that do not hold what their shape says. Whether shapes suit the model is the worker's word.
 */
export function encodeItem(item: InferenceItem, signature: ModelSignature): EncodedItem {
  const inputs = item.inputs.map((tensor, position) => encodeInput(tensor, position, signature.inputs));
  checkEachOnce(inputs, signature.inputs);
  const outputs = item.outputs?.map((name, position) => outputIndex(name, position, signature.outputs)) ?? null;
  let responseBytes = RESPONSE_OVERHEAD_BYTES;
  let isExact = true;
  signature.outputs.forEach((spec, index) => {
    if (outputs !== null && !outputs.includes(index)) return;
    const size = outputSize(spec, inputs, signature.inputs);
    responseBytes += OUTPUT_OVERHEAD_BYTES + size.bytes;
    isExact &&= size.isExact;
  });
  return { inputs, outputs, responseBytes, isExact };
}

/** Bytes to set aside when the worker said that the outputs need `payloadBytes`. */
export function responseBytesForPayload(payloadBytes: number, signature: ModelSignature): number {
  return RESPONSE_OVERHEAD_BYTES + payloadBytes + signature.outputs.length * OUTPUT_OVERHEAD_BYTES;
}

/** Names of the outputs come from the signature; null when the worker sent what the signature does not have. */
export function decodeResult(completion: Completion, signature: ModelSignature): ItemResult | null {
  const outputs: Tensor[] = [];
  for (const output of completion.outputs) {
    const name = signature.outputs[output.index]?.name;
    const datatype = DATATYPE_BY_ONNX.get(output.type);
    if (name === undefined || datatype === undefined) return null;
    outputs.push({ name, datatype, shape: output.shape, data: output.data });
  }
  return { outputs, timing: completion.timing };
}

function encodeInput(tensor: Tensor, position: number, specs: TensorSpec[]): ChannelTensor {
  const param = `inputs[${position}]`;
  const index = specs.findIndex((spec) => spec.name === tensor.name);
  const spec = specs[index];
  if (spec === undefined) {
    throw invalid(`${param}.name`, `expected one of ${specs.map(({ name }) => name).join(', ')} but received "${tensor.name}"`);
  }
  if (spec.datatype !== tensor.datatype) {
    throw invalid(`${param}.datatype`, `expected ${spec.datatype} for ${tensor.name} but received ${tensor.datatype}`);
  }
  const { onnx, bytes: elementBytes } = DATATYPES[tensor.datatype];
  const elements = tensor.shape.reduce((product, dim) => product * dim, 1);
  if (tensor.shape.length > 8 || !tensor.shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0) || !Number.isSafeInteger(elements)) {
    throw invalid(`${param}.shape`, `expected at most 8 sizes of 0 or more but received [${tensor.shape.join(', ')}]`);
  }
  const { byteLength } = tensor.data;
  const fits = elementBytes === null ? isBytesLayout(tensor.data, elements) : byteLength === elements * elementBytes;
  if (!fits) throw invalid(param, `${byteLength} bytes of data are not ${elements} elements of ${tensor.datatype}`);
  return { index, type: onnx, shape: tensor.shape, data: tensor.data };
}

/** Exactly `elements` strings, each a length and that many bytes. */
function isBytesLayout(data: Uint8Array, elements: number): boolean {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let offset = 0;
  for (let element = 0; element < elements; element += 1) {
    if (offset + LENGTH_BYTES > data.byteLength) return false;
    offset += LENGTH_BYTES + view.getUint32(offset, true);
  }
  return offset === data.byteLength;
}

function checkEachOnce(inputs: ChannelTensor[], specs: TensorSpec[]): void {
  for (let index = 0; index < specs.length; index++) {
    let count = 0;
    for (const input of inputs) if (input.index === index) count += 1;
    if (count !== 1) throw invalid('inputs', `expected input ${specs[index]?.name} once but received it ${count} times`);
  }
}

function outputIndex(name: string, position: number, specs: TensorSpec[]): number {
  const index = specs.findIndex((spec) => spec.name === name);
  if (index >= 0) return index;
  throw invalid(`outputs[${position}].name`, `expected one of ${specs.map((spec) => spec.name).join(', ')} but received "${name}"`);
}

/** The size of an axis in this item: the largest among the inputs that have it; undefined: none has. */
function axisSize(axis: Axis, inputs: ChannelTensor[], specs: TensorSpec[]): number | undefined {
  let size: number | undefined;
  for (const { index, shape } of inputs) {
    const axes = specs[index]?.axes ?? [];
    for (let position = 0; position < axes.length; position++)
      if (axes[position] === axis) size = Math.max(size ?? 0, shape[position] ?? 0);
  }
  return size;
}

function outputSize(spec: TensorSpec, inputs: ChannelTensor[], specs: TensorSpec[]): { bytes: number; isExact: boolean } {
  const { bytes: elementBytes } = DATATYPES[spec.datatype];
  let bytes = elementBytes ?? LENGTH_BYTES;
  let isFree = false;
  for (let position = 0; position < spec.axes.length; position++) {
    const axis = spec.axes[position] as Axis;
    const fixed = spec.shape[position] ?? -1;
    const size = fixed >= 0 ? fixed : axis === 'free' ? undefined : axisSize(axis, inputs, specs);
    if (size === undefined) isFree = true;
    else bytes *= size;
  }
  if (!isFree && elementBytes !== null) return { bytes, isExact: true };
  // Strings are often those that came in, or as long.
  const textBytes = elementBytes === null ? Math.min(stringBytes(inputs), TEXT_BYTES_MAX) : 0;
  return { bytes: Math.max(bytes, textBytes, FREE_OUTPUT_BYTES), isExact: false };
}

/** What all strings of the inputs take, with their lengths. */
function stringBytes(inputs: ChannelTensor[]): number {
  return inputs.reduce((sum, { type, data }) => sum + (type === DATATYPES.BYTES.onnx ? data.byteLength : 0), 0);
}

function invalid(param: string, message: string): InterleaveError {
  return new InterleaveError('invalid_request', `${param}: ${message}`, { param });
}
