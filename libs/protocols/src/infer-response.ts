import { InterleaveError, type ItemResult, type Tensor } from '@app/contracts';
import type { ServedModel } from '@app/models';
import { toJsonText } from './json-numbers';
import { readTensor } from './tensor-read';
import type { ResponseBody } from './types';

export interface WantedOutput {
  name: string;
  binary: boolean;
}

/** The answer to an infer request: plain JSON, or with the binary tensor extension when any output is wanted in binary. */
export function inferResponse(model: ServedModel, id: string | null, wanted: WantedOutput[], results: ItemResult[]): ResponseBody {
  const outputs = wanted.map(({ name, binary }) => ({ tensor: outputOf(results, name), binary }));
  const header = {
    model_name: model.name,
    model_version: model.version,
    ...(id === null ? {} : { id }),
    outputs: outputs.map(({ tensor, binary }) => ({
      name: tensor.name,
      datatype: tensor.datatype,
      shape: tensor.shape,
      ...(binary ? { parameters: { binary_data_size: tensor.data.byteLength } } : { data: readTensor(tensor) }),
    })),
  };
  if (!outputs.some(({ binary }) => binary)) return { kind: 'json', body: header };
  return binaryBody(
    header,
    outputs.filter(({ binary }) => binary).map(({ tensor }) => tensor),
  );
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
