import { invalid, type JsonObject } from '../checks';
import { WireReader } from './wire-reader';

/** An infer request as it came by gRPC: its fields as in JSON, the data of its inputs as views of the message. */
export interface InferMessage {
  model: string;
  /** Null: the newest one. */
  version: string | null;
  id: string;
  /** `id`, `parameters`, `inputs` and `outputs` as in the JSON of an infer request, inputs without `data`. */
  request: JsonObject;
  /** `raw_input_contents`. */
  raw: Buffer[];
  /** `contents` of each input. */
  contents: Buffer[][];
}

/** More than any model has, and than anybody says about a request. */
const TENSORS_MAX = 64;
const PARAMETERS_MAX = 256;
const RANK_MAX = 64;

/** Reads a `ModelInferRequest`. Throws `invalid_request`. */
export function readInferMessage(bytes: Buffer): InferMessage {
  const message: InferMessage = { model: '', version: null, id: '', request: {}, raw: [], contents: [] };
  const inputs: JsonObject[] = [];
  const outputs: JsonObject[] = [];
  const parameters = newParameters();
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.isBytes(1)) message.model = reader.text();
    else if (reader.isBytes(2)) message.version = reader.text() || null;
    else if (reader.isBytes(3)) message.id = reader.text();
    else if (reader.isBytes(4)) readParameter(reader.view(), parameters, 'parameters');
    else if (reader.isBytes(5)) {
      const contents: Buffer[] = [];
      add(inputs, readInput(reader.view(), contents, `inputs[${inputs.length}]`), 'inputs');
      message.contents.push(contents);
    } else if (reader.isBytes(6)) add(outputs, readOutput(reader.view(), `outputs[${outputs.length}]`), 'outputs');
    else if (reader.isBytes(7)) add(message.raw, reader.view(), 'raw_input_contents');
    else reader.skip();
  }
  message.request = { id: message.id, parameters, inputs, ...(outputs.length > 0 && { outputs }) };
  return message;
}

function readInput(bytes: Buffer, contents: Buffer[], path: string): JsonObject {
  const parameters = newParameters();
  const shape: (number | bigint)[] = [];
  const input = { name: '', datatype: '', shape, parameters };
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.isBytes(1)) input.name = reader.text();
    else if (reader.isBytes(2)) input.datatype = reader.text();
    else if (reader.field === 3) readSizes(reader.values(0), shape, `${path}.shape`);
    else if (reader.isBytes(4)) readParameter(reader.view(), parameters, `${path}.parameters`);
    else if (reader.isBytes(5)) add(contents, reader.view(), `${path}.contents`);
    else reader.skip();
  }
  return input;
}

function readOutput(bytes: Buffer, path: string): JsonObject {
  const parameters = newParameters();
  const output = { name: '', parameters };
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.isBytes(1)) output.name = reader.text();
    else if (reader.isBytes(2)) readParameter(reader.view(), parameters, `${path}.parameters`);
    else reader.skip();
  }
  return output;
}

function readSizes(bytes: Buffer, shape: (number | bigint)[], path: string): void {
  const reader = new WireReader(bytes);
  while (reader.hasMore) {
    if (shape.length === RANK_MAX) throw invalid(`expected at most ${RANK_MAX} dimensions for ${path} but received more`, path);
    shape.push(reader.int64());
  }
}

/** One entry of a map; of equal keys the last one counts. */
function readParameter(bytes: Buffer, parameters: JsonObject, path: string): void {
  if (Object.keys(parameters).length === PARAMETERS_MAX)
    throw invalid(`expected at most ${PARAMETERS_MAX} parameters for ${path} but received more`, path);
  let key = '';
  let value: unknown;
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.isBytes(1)) key = reader.text();
    else if (reader.isBytes(2)) value = readChoice(reader.view());
    else reader.skip();
  }
  parameters[key] = value;
}

/** An `InferParameter`; undefined when it has no value. */
function readChoice(bytes: Buffer): unknown {
  let value: unknown;
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.isVarint(1)) value = reader.bool();
    else if (reader.isVarint(2)) value = reader.int64();
    else if (reader.isBytes(3)) value = reader.text();
    else if (reader.isFixed64(4)) value = reader.double();
    else if (reader.isVarint(5)) value = reader.uint64();
    else reader.skip();
  }
  return value;
}

/** Keys are the caller's: `__proto__` is one like others. */
const newParameters = (): JsonObject => Object.create(null) as JsonObject;

function add<T>(list: T[], value: T, path: string): void {
  if (list.length === TENSORS_MAX) throw invalid(`expected at most ${TENSORS_MAX} elements for ${path} but received more`, path);
  list.push(value);
}
