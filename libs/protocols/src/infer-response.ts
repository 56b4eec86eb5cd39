import { InterleaveError, type ItemResult, type Tensor } from '@app/contracts';
import type { ServedModel } from '@app/models';
import { invalid } from './checks';
import { classificationOutput } from './classification-output';
import { toJsonText } from './json-numbers';
import { sharedParameters, type SharedMemory, type SharedPart } from './shared-memory';
import { tensorToJson } from './tensor-read';
import type { ResponseBody } from './types';

export interface WantedOutput {
  name: string;
  binary: boolean;
  /** So many classes in place of the tensor; null or absent: the tensor. */
  classes?: number | null;
  /** Where it goes; null or absent: into the answer. */
  shared?: SharedPart | null;
}

/** The answer to an infer request: plain JSON, or with the binary tensor extension when any output is wanted in binary. */
export function inferResponse(
  model: ServedModel,
  id: string | null,
  wanted: WantedOutput[],
  results: ItemResult[],
  memory: SharedMemory | undefined,
): ResponseBody {
  const outputs = wanted.map(({ name, binary, classes = null, shared = null }) => {
    const tensor = outputOf(results, name);
    return { tensor: classes === null ? tensor : classificationOutput(tensor, classes, model), binary, shared };
  });
  writeShared(outputs, memory);
  const header = {
    model_name: model.name,
    model_version: model.version,
    id: id ?? undefined,
    outputs: outputs.map(({ tensor, binary, shared }) => ({
      name: tensor.name,
      datatype: tensor.datatype,
      shape: tensor.shape,
      parameters: parametersOf(tensor, binary, shared),
      data: shared === null && !binary ? tensorToJson(tensor) : undefined,
    })),
  };
  if (!outputs.some(({ binary }) => binary)) return { kind: 'json', body: header };
  return binaryBody(
    header,
    outputs.filter(({ binary }) => binary).map(({ tensor }) => tensor),
  );
}

/** Where the data is that is not in the JSON. */
function parametersOf({ data: { byteLength } }: Tensor, binary: boolean, shared: SharedPart | null): object | undefined {
  if (shared !== null) return sharedParameters(shared, byteLength);
  return binary ? { binary_data_size: byteLength } : undefined;
}

/** All fit, or none is written. */
function writeShared(outputs: { tensor: Tensor; shared: SharedPart | null }[], memory: SharedMemory | undefined): void {
  const parts = outputs.flatMap(({ tensor, shared }) => (shared === null ? [] : [{ tensor, shared }]));
  for (const { tensor, shared } of parts) {
    const { byteLength } = tensor.data;
    if (byteLength > shared.bytes)
      throw invalid(
        `expected at least ${byteLength} bytes for the output "${tensor.name}" at ${shared.path} but received ${shared.bytes}`,
        shared.path,
      );
  }
  for (const { tensor, shared } of parts) memory?.write(shared, tensor.data);
}

function binaryBody(header: object, tensors: Tensor[]): ResponseBody {
  const json = Buffer.from(toJsonText(header));
  const body = Buffer.concat([json, ...tensors.map(({ data }) => data)]);
  const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(json.byteLength) };
  return { kind: 'bytes', body, headers };
}

/** The output of that name of a request's only item. */
export function outputOf(results: ItemResult[], name: string): Tensor {
  const tensor = results[0]?.outputs.find((output) => output.name === name);
  if (tensor === undefined) throw new InterleaveError('internal', `the worker did not return the output "${name}"`);
  return tensor;
}
