import {
  type Datatype,
  DATATYPES,
  InterleaveError,
  type InferenceItem,
  type ModelSignature,
  type Tensor,
  type TensorSpec,
} from '@app/contracts';
import { WireReader } from './wire-reader';
import { WireWriter, type WireMessage } from './wire-writer';

/** More than any model has. */
const TENSORS_MAX = 64;
const RANK_MAX = 64;
const ONNX_PLATFORM = 'onnx_onnxv1';
/** Metadata of a `ModelInfer`: SHA-256 of the files that may answer. With any value in a `ModelConfig`: asks for that. */
export const CONTENT_HEADER = 'x-interleave-content-sha256';
/** Of the `ModelConfig`, where it was asked for. */
export const CONTENT_PARAMETER = 'content_sha256';

/** What another node says of one of its models. */
export interface ModelDescription {
  signature: ModelSignature;
  /** SHA-256 of its files; null: the node does not say. */
  content: string | null;
}

/** A `ModelInferRequest` with raw tensors, as a client sends it; `timeoutMs` and the like are metadata of the call. */
export function inferCallMessage(model: string, version: string, { inputs, outputs }: InferenceItem): Buffer {
  const writer = new WireWriter();
  writer.text(1, model);
  writer.text(2, version);
  for (const { name, datatype, shape } of inputs) {
    const input = new WireWriter();
    input.text(1, name);
    input.text(2, datatype);
    input.integers(3, shape);
    writer.message(5, input.end());
  }
  for (const name of outputs ?? []) {
    const output = new WireWriter();
    output.text(1, name);
    writer.message(6, output.end());
  }
  for (const { data } of inputs) writer.bytes(7, data);
  return bytesOf(writer.end());
}

/** A `ModelMetadataRequest` or a `ModelConfigRequest`. */
export function modelCallMessage(model: string, version: string): Buffer {
  const writer = new WireWriter();
  writer.text(1, model);
  writer.text(2, version);
  return bytesOf(writer.end());
}

/** The outputs in a `ModelInferResponse`, in memory of their own. Throws `internal` for one that cannot be right. */
export function readInferAnswer(bytes: Buffer): Tensor[] {
  const specs: Omit<TensorSpec, 'axes'>[] = [];
  const raw: Buffer[] = [];
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.isBytes(5)) add(specs, readTensor(reader.view()));
    else if (reader.isBytes(6)) add(raw, reader.view());
    else reader.skip();
  }
  if (specs.length !== raw.length) throw wrong(`has ${specs.length} outputs and the data of ${raw.length}`);
  return specs.map((spec, i) => {
    const data = new Uint8Array(raw[i] as Buffer);
    const { bytes: elementBytes } = DATATYPES[spec.datatype];
    const expected = spec.shape.reduce((product, size) => product * size, elementBytes ?? 1);
    if (elementBytes !== null && data.byteLength !== expected)
      throw wrong(`has ${data.byteLength} bytes for output "${spec.name}" of ${expected}`);
    return { ...spec, data };
  });
}

/**
 * What a model takes and makes, by a `ModelMetadataResponse` and the `ModelConfigResponse` of the same version. Axes that vary are not
 * understood, but for the batch. Null: the model is none of ONNX Runtime's.
 */
export function readDescription(metadata: Buffer, config: Buffer): ModelDescription | null {
  const inputs: Omit<TensorSpec, 'axes'>[] = [];
  const outputs: Omit<TensorSpec, 'axes'>[] = [];
  let platform = '';
  const reader = new WireReader(metadata);
  while (reader.next()) {
    if (reader.isBytes(3)) platform = reader.text();
    else if (reader.isBytes(4)) add(inputs, readTensor(reader.view()));
    else if (reader.isBytes(5)) add(outputs, readTensor(reader.view()));
    else reader.skip();
  }
  if (platform !== ONNX_PLATFORM) return null;
  const { isBatched, isCoalesced, content } = readConfig(config);
  const withAxes = (spec: Omit<TensorSpec, 'axes'>): TensorSpec => ({
    ...spec,
    axes: spec.shape.map((size, dim) => (size >= 0 ? 'fixed' : dim === 0 && isBatched ? 'batch' : 'free')),
  });
  const signature: ModelSignature = {
    inputs: inputs.map(withAxes),
    outputs: outputs.map(withAxes),
    coalesce: isCoalesced ? 'padded' : 'alone',
    coalesceReason: isCoalesced ? null : 'the node that runs it says so',
  };
  return { signature, content };
}

/**
 * Whether the first dimension of all tensors is the batch, whether rows of several requests share runs, and the digest of the model's
 * files.
 */
function readConfig(bytes: Buffer): { isBatched: boolean; isCoalesced: boolean; content: string | null } {
  const found = { isBatched: false, isCoalesced: false, content: null as string | null };
  const response = new WireReader(bytes);
  while (response.next()) {
    if (!response.isBytes(1)) {
      response.skip();
      continue;
    }
    const reader = new WireReader(response.view());
    while (reader.next()) {
      if (reader.isVarint(4)) found.isBatched = Number(reader.int64()) > 0;
      else if (reader.isBytes(14)) found.content ??= readContent(reader.view());
      else {
        found.isCoalesced ||= reader.isBytes(11);
        reader.skip();
      }
    }
  }
  return found;
}

/** Of an entry of `ModelConfig.parameters`; null: it is another one. */
function readContent(bytes: Buffer): string | null {
  const found = { key: '', value: '' };
  const entry = new WireReader(bytes);
  while (entry.next()) {
    if (entry.isBytes(1)) found.key = entry.text();
    else if (entry.isBytes(2)) {
      const parameter = new WireReader(entry.view());
      while (parameter.next()) {
        if (parameter.isBytes(1)) found.value = parameter.text();
        else parameter.skip();
      }
    } else entry.skip();
  }
  return found.key === CONTENT_PARAMETER ? found.value : null;
}

function readTensor(bytes: Buffer): Omit<TensorSpec, 'axes'> {
  const tensor = { name: '', datatype: '', shape: [] as number[] };
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.isBytes(1)) tensor.name = reader.text();
    else if (reader.isBytes(2)) tensor.datatype = reader.text();
    else if (reader.field === 3) {
      const sizes = new WireReader(reader.values(0));
      while (sizes.hasMore) add(tensor.shape, Number(sizes.int64()), RANK_MAX);
    } else reader.skip();
  }
  if (!Object.hasOwn(DATATYPES, tensor.datatype)) throw wrong(`has a tensor of the datatype "${tensor.datatype}"`);
  return tensor as Omit<TensorSpec, 'axes'> & { datatype: Datatype };
}

function add<T>(list: T[], value: T, most = TENSORS_MAX): void {
  if (list.length === most) throw wrong(`has more than ${most} elements in a list`);
  list.push(value);
}

function bytesOf(message: WireMessage): Buffer {
  const bytes = Buffer.allocUnsafe(message.byteLength);
  message.copy(bytes, 0);
  return bytes;
}

const wrong = (what: string): InterleaveError => new InterleaveError('internal', `the answer of another node cannot be used: it ${what}`);
