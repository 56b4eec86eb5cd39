import type { ItemResult } from '@app/contracts';
import type { ServedModel } from '@app/models';
import { invalid, type JsonObject } from '../checks';
import { classificationOutput } from '../classification-output';
import { outputOf, type WantedOutput } from '../infer-response';
import { checkBinary, checkInfer, type ExpectedData, type InputData } from '../open-inference';
import type { Limits, PreparedRequest } from '../types';
import { readInferMessage, type InferMessage } from './infer-message';
import { hasElements, readContents } from './typed-contents';
import { WireMessage, WireWriter } from './wire-writer';

/** Asks for `triton_final_response` in answers on a stream. */
const FINAL_RESPONSE_ASKED = 'triton_enable_empty_final_response';

/** Checks a `ModelInferRequest` as `prepareInfer` does; its answer is a `ModelInferResponse`. */
export function prepareInferMessage(message: InferMessage, model: ServedModel, limits: Limits): PreparedRequest<WireMessage> {
  const isFinalAsked = (message.request.parameters as JsonObject)[FINAL_RESPONSE_ASKED] === true;
  return checkInfer(message.request, new MessageData(message), model, limits, (_model, id, wanted, results) =>
    inferResponseMessage(model, id ?? '', wanted, results, isFinalAsked),
  );
}

/** Tensors from a gRPC message: all of them raw, or each with typed contents. */
class MessageData implements InputData {
  constructor(private readonly message: InferMessage) {}

  read(input: JsonObject, index: number, expected: ExpectedData): Uint8Array {
    const { raw, contents } = this.message;
    const { path } = expected;
    if ((input.parameters as JsonObject).shared_memory_region !== undefined)
      throw invalid(
        `expected no ${path}.parameters.shared_memory_region because gRPC takes tensors in the message only; send raw_input_contents`,
        `${path}.parameters.shared_memory_region`,
      );
    const own = contents[index] ?? [];
    if (raw.length === 0) return readContents(own, { ...expected, path: `${path}.contents` });
    if (hasElements(own)) throw invalid(`expected either raw_input_contents or ${path}.contents but received both`, `${path}.contents`);
    const data = raw[index];
    const rawPath = `raw_input_contents[${index}]`;
    if (data === undefined) throw invalid(`expected ${rawPath}, the data of ${path}, but it is missing`, 'raw_input_contents');
    checkBinary(data, expected.datatype, expected.count, rawPath);
    return data;
  }

  checkAllRead(inputs: number): void {
    const { raw } = this.message;
    if (raw.length > inputs)
      throw invalid(`expected one of raw_input_contents for each of ${inputs} inputs but received ${raw.length}`, 'raw_input_contents');
  }
}

function inferResponseMessage(
  model: ServedModel,
  id: string,
  wanted: WantedOutput[],
  results: ItemResult[],
  isFinalAsked: boolean,
): WireMessage {
  const writer = new WireWriter();
  writer.text(1, model.name);
  writer.text(2, model.version);
  writer.text(3, id);
  if (isFinalAsked) writer.message(4, FINAL_RESPONSE);
  const outputs = wanted.map(({ name, classes = null }) => {
    const tensor = outputOf(results, name);
    return classes === null ? tensor : classificationOutput(tensor, classes, model);
  });
  for (const { name, datatype, shape } of outputs) {
    const output = new WireWriter();
    output.text(1, name);
    output.text(2, datatype);
    output.integers(3, shape);
    writer.message(5, output.end());
  }
  for (const { data } of outputs) writer.bytes(6, data);
  return writer.end();
}

/** The entry of the map of parameters that says so. */
const FINAL_RESPONSE = finalResponse();

function finalResponse(): WireMessage {
  const value = new WireWriter();
  value.bool(1, true);
  const entry = new WireWriter();
  entry.text(1, 'triton_final_response');
  entry.message(2, value.end());
  return entry.end();
}

/** A `ModelStreamInferResponse` around an answer; `notes` become parameters of it, because a message of a stream has no trailers. */
export function streamAnswer(answer: WireMessage, notes: Readonly<Record<string, string>>): WireMessage {
  const writer = new WireWriter();
  writer.message(2, joined(answer, parametersOf(notes)));
  return writer.end();
}

/** A `ModelStreamInferResponse` that says why the request with this id has no answer. */
export function streamError(message: string, id: string, notes: Readonly<Record<string, string>>): WireMessage {
  const writer = new WireWriter();
  writer.text(1, message);
  const answer = new WireWriter();
  answer.text(3, id);
  writer.message(2, joined(answer.end(), parametersOf(notes)));
  return writer.end();
}

/** Fields of one message that were written apart. */
function joined(first: WireMessage, second: WireMessage): WireMessage {
  return new WireMessage([...first.parts, ...second.parts], first.byteLength + second.byteLength);
}

/** A `ModelInferResponse` with nothing but parameters of texts. */
function parametersOf(texts: Readonly<Record<string, string>>): WireMessage {
  const writer = new WireWriter();
  for (const [name, text] of Object.entries(texts)) {
    const value = new WireWriter();
    value.text(3, text);
    const entry = new WireWriter();
    entry.text(1, name);
    entry.message(2, value.end());
    writer.message(4, entry.end());
  }
  return writer.end();
}

export { readInferMessage, type InferMessage, type WireMessage };
