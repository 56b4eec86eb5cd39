import {
  DATATYPES,
  type Datatype,
  type InferenceItem,
  type ItemResult,
  type ModelSignature,
  type Tensor,
  type TensorSpec,
} from '@app/contracts';
import type { ServedModel } from '@app/models';
import { wantedClasses } from './classification-output';
import {
  expectItems,
  expectObject,
  expectString,
  invalid,
  mismatch,
  optionalBoolean,
  optionalInteger,
  optionalString,
  quote,
  type JsonObject,
} from './checks';
import {
  byteBudget,
  checkDatatype,
  checkInputs,
  checkShape,
  countElements,
  findInput,
  spend,
  tooLarge,
  type ByteBudget,
  type DeclaredInput,
} from './infer-shape';
import { inferResponse, type WantedOutput } from './infer-response';
import { parseJsonBodyInSlices } from './json-body';
import type { JsonLimits } from './json-bounds';
import { memoryFor, sharedOutput, sharedPart, type SharedPart } from './shared-memory';
import { readServiceTier } from './service-tier';
import { writeTensor } from './tensor-write';
import type { BinaryPart, Limits, PreparedRequest } from './types';

/** More inputs or outputs than a worker takes. */
const TENSORS_MAX = 64;
const PRIORITY_MAX = 255;
const TIMEOUT_US_MAX = 3_600_000_000;

/**
 * Splits the body of an infer request at `Inference-Header-Content-Length` (the header's value, null without it).
 * With the length 0 the whole body is one raw tensor and the JSON part is undefined.
 */
export async function splitInferBody(
  bytes: Uint8Array,
  headerLength: string | null,
  limits: JsonLimits,
): Promise<{ body: unknown; binary: BinaryPart | null }> {
  if (headerLength === null) return { body: await parseJsonBodyInSlices(bytes, limits), binary: null };
  const headerBytes = /^\d{1,10}$/.test(headerLength) ? Number(headerLength) : -1;
  if (headerBytes < 0 || headerBytes > bytes.byteLength) {
    throw mismatch(`a number from 0 to the length of the body (${bytes.byteLength})`, 'Inference-Header-Content-Length', headerLength);
  }
  const body = headerBytes === 0 ? undefined : await parseJsonBodyInSlices(bytes.subarray(0, headerBytes), limits);
  return { body, binary: { headerBytes, body: bytes } };
}

/** Checks an infer request (docs/protocols.md §4.2, §4.3) and turns it into one item that holds the caller's whole arrays. */
export function prepareInfer(body: unknown, binary: BinaryPart | null, model: ServedModel, limits: Limits): PreparedRequest {
  if (binary !== null && binary.headerBytes === 0) return prepareRaw(binary.body, model, limits);
  return checkInfer(expectObject(body, 'body'), new BodyData(binary, limits), model, limits, (served, id, wanted, results) =>
    inferResponse(served, id, wanted, results, limits.sharedMemory),
  );
}

/** Where the data of the inputs is; all else of a request looks the same in every form. */
export interface InputData {
  /** The data of the input at `index`; refuses what `expected` does not describe, and more than `budget` has left. */
  read(input: JsonObject, index: number, expected: ExpectedData, budget: ByteBudget): Uint8Array;
  /** Refuses data that no input is for. */
  checkAllRead(inputs: number): void;
}

type InferAnswer<Answer> = (model: ServedModel, id: string | null, wanted: WantedOutput[], results: ItemResult[]) => Answer;

/** The checks of every form of an infer request. */
export function checkInfer<Answer>(
  request: JsonObject,
  data: InputData,
  model: ServedModel,
  limits: Limits,
  answer: InferAnswer<Answer>,
): PreparedRequest<Answer> {
  const id = optionalString(request.id, 'id');
  const parameters = checkParameters(request.parameters, 'parameters');
  const wanted = wantedOutputs(request, model.signature, parameters, limits);
  const inputs = readInputs(request, data, model.signature, limits);
  return prepared(model, inputs, wanted, parameters, (results) => answer(model, id, wanted, results));
}

function prepared<Answer>(
  model: ServedModel,
  inputs: Tensor[],
  wanted: WantedOutput[],
  parameters: JsonObject,
  respond: (results: ItemResult[]) => Answer,
): PreparedRequest<Answer> {
  const item: InferenceItem = { inputs, outputs: wanted.map(({ name }) => name) };
  const timeoutUs = optionalInteger(parameters.timeout, 'parameters.timeout', { min: 0, max: TIMEOUT_US_MAX });
  if (parameters.sequence_id !== undefined && parameters.sequence_id !== 0 && parameters.sequence_id !== '') {
    throw invalid(
      'expected no parameters.sequence_id because models here keep no state between requests; leave it out',
      'parameters.sequence_id',
    );
  }
  return {
    model: model.name,
    version: model.version,
    revision: model.revision,
    remoteFiles: model.remoteFiles,
    items: [item],
    tokenCount: 0,
    timeoutMs: timeoutUs === null || timeoutUs === 0 ? model.timeoutMs : timeoutUs / 1000,
    priority: optionalInteger(parameters.priority, 'parameters.priority', { min: 0, max: PRIORITY_MAX }) ?? 0,
    tier: readServiceTier(parameters.service_tier, 'parameters.service_tier'),
    respond,
  };
}

function checkParameters(value: unknown, path: string): JsonObject {
  if (value === undefined || value === null) return {};
  const parameters = expectObject(value, path);
  for (const [key, parameter] of Object.entries(parameters)) {
    if (!['string', 'number', 'bigint', 'boolean'].includes(typeof parameter))
      throw mismatch('a string, a number, true or false', `${path}.${key}`, parameter);
  }
  return parameters;
}

function wantedOutputs(request: JsonObject, signature: ModelSignature, parameters: JsonObject, limits: Limits): WantedOutput[] {
  const binaryDefault = optionalBoolean(parameters.binary_data_output, 'parameters.binary_data_output') ?? false;
  if (request.outputs === undefined || request.outputs === null) {
    return signature.outputs.map(({ name }) => ({ name, binary: binaryDefault }));
  }
  const names = new Set<string>();
  const outputs: WantedOutput[] = [];
  for (const [i, value] of expectItems(request.outputs, 'outputs', TENSORS_MAX).entries()) {
    const path = `outputs[${i}]`;
    const output = expectObject(value, path);
    const name = expectString(output.name, `${path}.name`);
    const spec = signature.outputs.find((candidate) => candidate.name === name);
    if (spec === undefined)
      throw mismatch(`one of the outputs ${signature.outputs.map((candidate) => candidate.name).join(', ')}`, `${path}.name`, name);
    if (names.has(name)) throw invalid(`expected each output once but ${path}.name ${quote(name)} was named before`, `${path}.name`);
    names.add(name);
    const own = checkParameters(output.parameters, `${path}.parameters`);
    const binary = optionalBoolean(own.binary_data, `${path}.parameters.binary_data`) ?? binaryDefault;
    const shared = sharedOutput(own, path, limits.sharedMemory, outputs);
    outputs.push({ name, binary: binary && shared === null, classes: wantedClasses(own, spec, path), shared });
  }
  return outputs;
}

function readInputs(request: JsonObject, source: InputData, signature: ModelSignature, limits: Limits): Tensor[] {
  const declared: DeclaredInput[] = [];
  const budget = byteBudget(limits);
  const tensors = givenInputs(request.inputs, signature).map((value, i) => {
    const path = `inputs[${i}]`;
    const input = expectObject(value, path);
    const name = expectString(input.name, `${path}.name`);
    const spec = findInput(signature, name, `${path}.name`);
    if (declared.some((other) => other.spec === spec))
      throw invalid(`expected each input once but ${path}.name ${quote(name)} was given before`, `${path}.name`);
    const datatype = checkDatatype(spec, input.datatype, `${path}.datatype`);
    const shape = checkShape(spec, input.shape, `${path}.shape`);
    declared.push({ spec, shape, path: `${path}.shape` });
    const count = countElements(shape, datatype, budget, `${path}.shape`);
    const data = source.read(input, i, { datatype, shape, count, path }, budget);
    spend(budget, data, `${path}.data`);
    return { name, datatype, shape, data };
  });
  source.checkAllRead(tensors.length);
  checkInputs(signature, declared);
  return tensors;
}

/** A graph without inputs is asked with none. */
function givenInputs(inputs: unknown, signature: ModelSignature): unknown[] {
  if (signature.inputs.length > 0) return expectItems(inputs, 'inputs', TENSORS_MAX);
  if (inputs === undefined || inputs === null || (Array.isArray(inputs) && inputs.length === 0)) return [];
  throw mismatch('no inputs, because the model has none,', 'inputs', inputs);
}

export interface ExpectedData {
  datatype: Datatype;
  shape: number[];
  count: number;
  /** Of the input. */
  path: string;
}

/** Data in the JSON, behind it, or in shared memory. */
class BodyData implements InputData {
  private offset: number;

  constructor(
    private readonly binary: BinaryPart | null,
    private readonly limits: Limits,
  ) {
    this.offset = binary?.headerBytes ?? 0;
  }

  read(input: JsonObject, _index: number, expected: ExpectedData, budget: ByteBudget): Uint8Array {
    const { binary } = this;
    const { datatype, shape, count, path } = expected;
    const parameters = checkParameters(input.parameters, `${path}.parameters`);
    const part = sharedPart(parameters, path);
    if (part !== null) return this.readShared(part, input, expected, budget);
    const size = parameters.binary_data_size;
    if (size === undefined) return writeTensor(input.data, datatype, shape, `${path}.data`);
    const sizePath = `${path}.parameters.binary_data_size`;
    if (input.data !== undefined) throw invalid(`expected either data or binary_data_size for ${path} but received both`, path);
    if (binary === null)
      throw invalid(`expected the header Inference-Header-Content-Length because ${sizePath} is set but it is missing`, sizePath);
    const bytes = optionalInteger(size, sizePath, { min: 0, max: binary.body.byteLength - this.offset }) as number;
    const data = binary.body.subarray(this.offset, this.offset + bytes);
    this.offset += bytes;
    checkBinary(data, datatype, count, sizePath, path);
    return data;
  }

  checkAllRead(): void {
    if (this.binary === null || this.offset === this.binary.body.byteLength) return;
    throw invalid(
      `expected ${this.offset} bytes, as the binary_data_size of the inputs say, but the body has ${this.binary.body.byteLength}`,
      'inputs',
    );
  }

  private readShared(part: SharedPart, input: JsonObject, { datatype, count, path }: ExpectedData, budget: ByteBudget): Uint8Array {
    const memory = memoryFor(part, this.limits.sharedMemory);
    if (input.data !== undefined || (input.parameters as JsonObject).binary_data_size !== undefined)
      throw invalid(`expected neither data nor binary_data_size beside ${part.path} but received one`, path);
    if (part.bytes > budget.bytesLeft) throw tooLarge(budget, part.path);
    const data = memory.read(part);
    checkBinary(data, datatype, count, part.path);
    return data;
  }
}

/** Its size is checked before anything is copied. */
/**
 * Refuses binary data of another size than `count` elements have; BOOL bytes that are neither 0 nor 1. `path` is what says
 * its size, `dataPath` what it belongs to.
 */
export function checkBinary(data: Uint8Array, datatype: Datatype, count: number, path: string, dataPath = path): void {
  const elementBytes = DATATYPES[datatype].bytes;
  if (elementBytes === null) return checkStrings(data, count, path);
  if (data.byteLength !== count * elementBytes)
    throw invalid(`expected ${count * elementBytes} bytes (${count} × ${datatype}) for ${path} but received ${data.byteLength}`, path);
  const other = datatype === 'BOOL' ? data.find((byte) => byte > 1) : undefined;
  if (other !== undefined) throw invalid(`expected bytes 0 and 1 for ${dataPath} but received ${other}`, dataPath);
}

function checkStrings(data: Uint8Array, count: number, path: string): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let offset = 0;
  let found = 0;
  for (; offset + 4 <= data.byteLength; found++) offset += 4 + view.getUint32(offset, true);
  if (found !== count || offset !== data.byteLength) {
    throw invalid(
      `expected ${count} strings for ${path}, each a 4-byte length and its bytes, but received ${data.byteLength} bytes, which do not split into that many strings`,
      path,
    );
  }
}

/** The body is one tensor: the model has one input with at most one dimension to find out beside the batch, which is 1. */
function prepareRaw(data: Uint8Array, model: ServedModel, limits: Limits): PreparedRequest {
  const { inputs, outputs } = model.signature;
  const spec = inputs[0];
  if (spec === undefined || inputs.length !== 1) {
    throw invalid(
      `expected a model with one input for a raw binary request but "${model.name}" has ${inputs.length}; send a JSON header`,
      'inputs',
    );
  }
  spend(byteBudget(limits), data, 'body');
  const shape = rawShape(spec, data, 'body');
  checkBinary(
    data,
    spec.datatype,
    shape.reduce((product, size) => product * size, 1),
    'body',
  );
  const wanted = outputs.map(({ name }) => ({ name, binary: true }));
  const input = { name: spec.name, datatype: spec.datatype, shape, data };
  return prepared(model, [input], wanted, {}, (results) => inferResponse(model, null, wanted, results, undefined));
}

function rawShape(spec: TensorSpec, data: Uint8Array, path: string): number[] {
  const shape = spec.shape.map((size, i) => (spec.axes[i] === 'batch' ? 1 : size));
  const elementBytes = DATATYPES[spec.datatype].bytes;
  const open = shape.filter((size) => size === -1).length;
  if (elementBytes === null) return shape.map((size) => (size === -1 ? 1 : size));
  if (open > 1) throw invalid(`expected a model with at most one variable dimension for a raw binary request; send a JSON header`, path);
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), elementBytes);
  const missing = data.byteLength / known;
  if (!Number.isInteger(missing) || missing < 1) {
    throw invalid(`expected a multiple of ${known} bytes for the input "${spec.name}" but received ${data.byteLength}`, path);
  }
  return shape.map((size) => (size === -1 ? missing : size));
}
