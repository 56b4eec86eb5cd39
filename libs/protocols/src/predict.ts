import type { InferenceItem, ItemResult, Tensor, TensorSpec } from '@app/contracts';
import type { EncodeOptions, ModelView, ServedModel, TextModel, TextRow } from '@app/models';
import { partsAround, plainParts, VECTOR_MARK } from './answer-parts';
import type { Bulk } from './bulk';
import {
  answering,
  atPath,
  expectItems,
  expectObject,
  invalid,
  isObject,
  mismatch,
  optionalInteger,
  optionalString,
  type JsonObject,
} from './checks';
import { textInput } from './classify';
import { byteBudget, checkInputs, checkShape, countElements, spend, type ByteBudget } from './infer-shape';
import { readServiceTier, type ServiceTier } from './service-tier';
import { mapInSlices } from './slices';
import { AnswerSize, distinctItems, readTruncate, refuseOtherFields, tokensIn } from './text-request';
import { nest, readTensor } from './tensor-read';
import { writeTensor } from './tensor-write';
import type { Endpoint, Limits, PreparedRequest } from './types';
import { vectorsToJson } from './vectors-json';

const TOP_K_MAX = 100_000;
const RANK_MAX = 8;

/** Checks and tokenizes a `:predict` body (docs/protocols.md §5): one item and one prediction for each instance. */
export async function preparePredict(body: unknown, model: ServedModel, limits: Limits): Promise<PreparedRequest> {
  const request = expectObject(body, 'body');
  checkForm(request);
  const instances = expectItems(request.instances, 'instances', limits.itemsMax);
  const { parameters, tier } = parametersOf(request);
  const { items, tokenCount, perInstance, decode } =
    model.text === null
      ? prepareTensors(instances, parameters, model, limits)
      : await prepareTexts(instances, parameters, model, model.text);
  return {
    model: model.name,
    version: model.version,
    revision: model.revision,
    remoteFiles: model.remoteFiles,
    items,
    tokenCount,
    timeoutMs: model.timeoutMs,
    priority: 0,
    tier,
    respond: async (results) => {
      const size = new AnswerSize('instances');
      const predictions = await mapInSlices(perInstance(results), (result, i) =>
        answering(`instances[${i}]`, () => decode(result, i, size)),
      );
      return { kind: 'json', body: { predictions } };
    },
  };
}

/** As `preparePredict` for bodies with one text; of other tasks than one vector or labels a text there is none. */
export function predictBulk(request: JsonObject, catalog: ModelView, endpoint: Endpoint): Bulk | null {
  const model = catalog.find(endpoint.model ?? '', endpoint.version);
  const { text, task } = model;
  checkForm(request);
  const { parameters } = parametersOf(request);
  if (text === null || (task !== 'embedding' && task !== 'sequence-classification')) return null;
  const around = partsAround({ predictions: [VECTOR_MARK] }, 'numbers');
  return {
    model,
    text,
    options: textOptions(parameters),
    answer: (row, result) =>
      answering('instances[0]', () =>
        task === 'embedding' ? { ...around, vector: row.decodeVector(result) } : plainParts({ predictions: [row.decode(result)] }),
      ),
  };
}

function parametersOf(request: JsonObject): { parameters: JsonObject; tier: ServiceTier | null } {
  const { service_tier: askedTier, ...parameters } = optionalObject(request.parameters, 'parameters');
  return { parameters, tier: readServiceTier(askedTier, 'parameters.service_tier') };
}

function optionalObject(value: unknown, path: string): JsonObject {
  return value === undefined || value === null ? {} : expectObject(value, path);
}

/** TensorFlow Serving's other forms would give another answer than the one asked for. */
function checkForm(request: JsonObject): void {
  if (request.instances === undefined && request.inputs !== undefined) {
    throw invalid(
      'expected instances, one for each row, but received inputs; send whole tensors to POST /v2/models/{model}/infer',
      'inputs',
    );
  }
  const signature = request.signature_name ?? 'serving_default';
  if (signature !== 'serving_default') throw mismatch('no signature but "serving_default"', 'signature_name', signature);
}

interface PreparedInstances {
  items: InferenceItem[];
  tokenCount: number;
  perInstance(results: ItemResult[]): ItemResult[];
  decode(result: ItemResult, index: number, size: AnswerSize): unknown;
}

async function prepareTexts(instances: unknown[], parameters: JsonObject, model: ServedModel, text: TextModel): Promise<PreparedInstances> {
  const options = textOptions(parameters);
  const rows = await text
    .encode(
      instances.map((instance, i) => textInput(instance, `instances[${i}]`)),
      options,
    )
    .catch((error: unknown) => {
      throw atPath(error, (index) => `instances${index}`);
    });
  const { items, perRow } = distinctItems(rows, model);
  return {
    items,
    tokenCount: tokensIn(rows),
    perInstance: perRow,
    decode: (result, index, size) => size.add(vectorsToJson((rows[index] as TextRow).decode(result))),
  };
}

function textOptions(parameters: JsonObject): EncodeOptions {
  refuseOtherFields(parameters, ['top_k', 'truncate', 'prompt_name', 'service_tier'], 'parameters');
  return {
    topK: optionalInteger(parameters.top_k, 'parameters.top_k', { min: 1, max: TOP_K_MAX }),
    ...readTruncate(parameters.truncate, 'parameters.truncate'),
    promptName: optionalString(parameters.prompt_name, 'parameters.prompt_name'),
  };
}

function prepareTensors(instances: unknown[], parameters: JsonObject, model: ServedModel, limits: Limits): PreparedInstances {
  refuseOtherFields(parameters, ['service_tier'], 'parameters');
  const texts = model.signature.inputs.some(({ datatype }) => datatype === 'BYTES')
    ? -1
    : instances.findIndex((instance) => typeof instance === 'string');
  if (texts >= 0 && model.tensorsBecause !== null) {
    throw invalid(
      `expected tensors for instances[${texts}] but received a text, and "${model.name}" takes no text: ${model.tensorsBecause}`,
      `instances[${texts}]`,
    );
  }
  const items = instances.map((instance, i) => toItem(instance, `instances[${i}]`, model, limits));
  return { items, tokenCount: 0, perInstance: (results) => results, decode: (result) => toPrediction(result, model) };
}

function toItem(instance: unknown, path: string, model: ServedModel, limits: Limits): InferenceItem {
  const { inputs } = model.signature;
  const values = instanceValues(instance, inputs, path);
  const budget = byteBudget(limits);
  const tensors = inputs.map((spec, i) => toTensor(spec, values[i]?.value, values[i]?.path ?? path, budget));
  checkInputs(
    model.signature,
    tensors.map(({ shape }, i) => ({ spec: inputs[i] as TensorSpec, shape, path: values[i]?.path ?? path })),
  );
  return { inputs: tensors, outputs: null };
}

/** The values by input name, or the value itself where there is one input. */
function instanceValues(instance: unknown, inputs: TensorSpec[], path: string): { value: unknown; path: string }[] {
  if (inputs.length === 1 && !isObject(instance)) return [{ value: instance, path }];
  const names = inputs.map(({ name }) => name);
  if (!isObject(instance)) throw mismatch(`an object with the inputs ${names.join(', ')}`, path, instance);
  refuseOtherFields(instance, names, path);
  return names.map((name) => ({ value: instance[name], path: `${path}.${name}` }));
}

/** A nested list without the batch dimension becomes a tensor with a batch of 1. */
function toTensor(spec: TensorSpec, value: unknown, path: string, budget: ByteBudget): Tensor {
  if (value === undefined)
    throw invalid(`expected the input "${spec.name}" (${spec.datatype} [${spec.shape.join(', ')}]) in ${path} but it is missing`, path);
  const own = nestedShape(value, path);
  const batchAxis = spec.axes.indexOf('batch');
  const shape = batchAxis < 0 ? own : [...own.slice(0, batchAxis), 1, ...own.slice(batchAxis)];
  checkShape(spec, shape, path);
  countElements(shape, spec.datatype, budget, path);
  const data = writeTensor(Array.isArray(value) ? value : [value], spec.datatype, own, path);
  spend(budget, data, path);
  return { name: spec.name, datatype: spec.datatype, shape, data };
}

/** Sizes of nested arrays, by the first element of each level. */
function nestedShape(value: unknown, path: string): number[] {
  const shape: number[] = [];
  for (let level = value; Array.isArray(level); level = level[0] as unknown) {
    shape.push(level.length);
    if (shape.length > RANK_MAX) throw mismatch(`at most ${RANK_MAX} levels`, path, value);
  }
  return shape;
}

/** Outputs without their batch dimension: the value itself when the model has one output, or else by name. */
function toPrediction(result: ItemResult, model: ServedModel): unknown {
  const values = result.outputs.map((tensor) => {
    const axes = model.signature.outputs.find(({ name }) => name === tensor.name)?.axes ?? [];
    const shape = tensor.shape.filter((size, i) => axes[i] !== 'batch' || size !== 1);
    return [tensor.name, nest(readTensor(tensor), shape)] as const;
  });
  const only = values[0];
  return values.length === 1 && only !== undefined ? only[1] : Object.fromEntries(values);
}
