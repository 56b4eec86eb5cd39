import type { ItemResult } from '@app/contracts';
import {
  bestFirst,
  type EncodeOptions,
  type ModelView,
  type ScoredClass,
  type ScoredLabel,
  type ServedModel,
  type TextInput,
  type TextModel,
} from '@app/models';
import { plainParts } from './answer-parts';
import type { Bulk } from './bulk';
import {
  answering,
  atPath,
  expectItems,
  expectObject,
  expectString,
  isObject,
  mismatch,
  optionalBoolean,
  optionalInteger,
  optionalString,
  type JsonObject,
} from './checks';
import { readServiceTier } from './service-tier';
import { mapInSlices } from './slices';
import { refuseOtherFields, rowsRequest, textModelFor, tokensIn, truncationOf, TRUNCATION_FIELDS } from './text-request';
import type { Limits, PreparedRequest } from './types';

const FIELDS = ['model', 'input', 'top_k', 'raw_scores', 'prompt_name', 'user', 'service_tier', ...TRUNCATION_FIELDS];
const TOP_K_MAX = 100_000;

/** Checks and tokenizes a `POST /v1/classify` body; the answer has vLLM's fields and Jina's (docs/protocols.md). */
export async function prepareClassify(body: unknown, catalog: ModelView, limits: Limits): Promise<PreparedRequest> {
  const request = expectObject(body, 'body');
  const { model, text, topK, options } = planOf(request, catalog);
  const { inputs, pathOf } = textInputs(request.input, 'input', limits);
  const rows = await text.encode(inputs, options).catch((error: unknown) => {
    throw atPath(error, pathOf);
  });
  const tokenCount = tokensIn(rows);
  return rowsRequest(model, request, rows, async (results) => {
    const data = await mapInSlices(rows, (row, index) => {
      const scored = answering(pathOf(`[${index}]`), () => row.decodeScores(results[index] as ItemResult));
      return { object: 'classification', index, ...classification(scored, topK) };
    });
    return { kind: 'json', body: answerOf(model, data, tokenCount) };
  });
}

/** As `prepareClassify` for bodies with one text. */
export function classifyBulk(request: JsonObject, catalog: ModelView): Bulk {
  const { model, text, topK, options } = planOf(request, catalog);
  readServiceTier(request.service_tier, 'service_tier');
  return {
    model,
    text,
    options,
    answer: (row, result) => {
      const scored = answering('input', () => row.decodeScores(result));
      const data = [{ object: 'classification', index: 0, ...classification(scored, topK) }];
      return plainParts(answerOf(model, data, row.tokenCount));
    },
  };
}

/** What a body asks for beside its input. */
interface ClassifyPlan {
  model: ServedModel;
  text: TextModel;
  /** Predictions that are answered, best first; null: all. */
  topK: number | null;
  options: EncodeOptions;
}

function planOf(request: JsonObject, catalog: ModelView): ClassifyPlan {
  const model = catalog.find(expectString(request.model, 'model'), null);
  const text = textModelFor(model, 'a classifier of texts', ['sequence-classification']);
  refuseOtherFields(request, FIELDS, 'body');
  const topK = optionalInteger(request.top_k, 'top_k', { min: 1, max: TOP_K_MAX });
  const options = {
    ...truncationOf(request),
    topK: null,
    rawScores: optionalBoolean(request.raw_scores, 'raw_scores') ?? false,
    promptName: optionalString(request.prompt_name, 'prompt_name'),
  };
  return { model, text, topK, options };
}

function answerOf(model: ServedModel, data: object[], tokenCount: number): object {
  return { object: 'list', model: model.name, data, usage: { prompt_tokens: tokenCount, total_tokens: tokenCount } };
}

/** `probs` are those of all classes in their own order, `predictions` the best first. */
function classification(scored: ScoredClass[], topK: number | null): object {
  const predictions = bestFirst(scored, topK);
  const { label, score } = predictions[0] as ScoredLabel;
  return { label, probs: scored.map((each) => each.score), num_classes: scored.length, prediction: label, score, predictions };
}

/** Texts of a request, each a string or `{text, text_pair}`, and where an error about `[i]` belongs. */
export function textInputs(input: unknown, field: string, limits: Limits): { inputs: TextInput[]; pathOf: (index: string) => string } {
  const isSingle = typeof input === 'string' || isObject(input);
  const pathOf = (index: string): string => (isSingle ? field : `${field}${index}`);
  if (!isSingle && !Array.isArray(input)) throw mismatch('a string, {"text", "text_pair"} or an array of them', field, input);
  const items = isSingle ? [input] : expectItems(input, field, limits.itemsMax);
  return { inputs: items.map((item, i) => textInput(item, pathOf(`[${i}]`))), pathOf };
}

/** A string or `{text, text_pair}`. */
export function textInput(value: unknown, path: string): TextInput {
  if (typeof value === 'string') return value;
  if (!isObject(value)) throw mismatch('a string or {"text", "text_pair"}', path, value);
  refuseOtherFields(value, ['text', 'text_pair'], path);
  const text = expectString(value.text, `${path}.text`);
  if (value.text_pair === undefined || value.text_pair === null) return { text };
  return { text, text_pair: expectString(value.text_pair, `${path}.text_pair`) };
}
