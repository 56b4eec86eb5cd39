import type { ModelView, ServedModel, TextInput } from '@app/models';
import {
  atPath,
  expectItems,
  expectObject,
  expectString,
  invalid,
  isObject,
  mismatch,
  optionalBoolean,
  optionalString,
  quote,
  type JsonObject,
} from './checks';
import { textInput, textInputs } from './classify';
import { refuseOtherFields, textModelFor } from './text-request';
import type { Limits, PreparedRequest } from './types';

/** An answer has some 60 bytes for each token, and a token may be one character. */
const CHARACTERS_MAX = 256 * 1024;
const TOKENS_MAX = 256 * 1024;

/** One name each of vLLM, OpenAI and TEI for the same thing. */
const TEXT_FIELDS = ['prompt', 'input', 'text', 'inputs'] as const;
const TOKENIZE_FIELDS = ['model', ...TEXT_FIELDS, 'text_pair', 'add_special_tokens', 'prompt_name', 'return_token_strs', 'return_offsets'];
const DETOKENIZE_FIELDS = ['model', 'tokens', 'skip_special_tokens'];

/** Checks and answers a `POST /v1/tokenize` body: the ids that the model is given for a text. Nothing is run. */
export async function prepareTokenize(body: unknown, catalog: ModelView, limits: Limits): Promise<PreparedRequest> {
  const request = expectObject(body, 'body');
  const model = catalog.find(expectString(request.model, 'model'), null);
  const text = textModelFor(model, 'a model of texts', null);
  refuseOtherFields(request, TOKENIZE_FIELDS, 'body');
  const field = textFieldName(request);
  const { inputs, pathOf } = textInputs(withPair(request, field), field, limits);
  checkCharacters(inputs, field);
  const withStrings = optionalBoolean(request.return_token_strs, 'return_token_strs') ?? false;
  const withOffsets = optionalBoolean(request.return_offsets, 'return_offsets') ?? false;
  const options = {
    promptName: optionalString(request.prompt_name, 'prompt_name'),
    addSpecialTokens: optionalBoolean(request.add_special_tokens, 'add_special_tokens') ?? true,
    spans: withStrings || withOffsets,
  };
  const rows = await text.tokenize(inputs, options).catch((error: unknown) => {
    throw atPath(error, pathOf);
  });
  const data = rows.map(({ ids, spans }) => ({
    count: ids.length,
    max_model_len: text.maxTokens,
    tokens: ids,
    ...(withStrings && { token_strs: spans?.map(({ token }) => token) }),
    ...(withOffsets && { offsets: spans?.map(({ start, end }) => [start, end]) }),
  }));
  return answered(model, Array.isArray(request[field]) ? listOf(model, data) : { model: model.name, ...data[0] });
}

/** Checks and answers a `POST /v1/detokenize` body: the text of token ids. Nothing is run. */
export async function prepareDetokenize(body: unknown, catalog: ModelView, limits: Limits): Promise<PreparedRequest> {
  const request = expectObject(body, 'body');
  const model = catalog.find(expectString(request.model, 'model'), null);
  const text = textModelFor(model, 'a model of texts', null);
  refuseOtherFields(request, DETOKENIZE_FIELDS, 'body');
  const skipSpecialTokens = optionalBoolean(request.skip_special_tokens, 'skip_special_tokens') ?? false;
  const { tokens } = request;
  const isList = Array.isArray(tokens) && Array.isArray(tokens[0]);
  const lists = isList ? expectItems(tokens, 'tokens', limits.itemsMax) : [tokens];
  const ids = lists.map((list, i) => idsOf(list, isList ? `tokens[${i}]` : 'tokens'));
  const count = ids.reduce((sum, { length }) => sum + length, 0);
  if (count > TOKENS_MAX)
    throw invalid(`expected at most ${TOKENS_MAX} token ids in tokens but received ${count}; send fewer in a request`, 'tokens');
  const texts = await text.detokenize(ids, { skipSpecialTokens }).catch((error: unknown) => {
    throw atPath(error, (index) => (isList ? `tokens${index}` : 'tokens'));
  });
  // vLLM's name, and Cohere's.
  const data = texts.map((text) => ({ prompt: text, text }));
  return answered(model, isList ? listOf(model, data) : { model: model.name, ...data[0] });
}

function textFieldName(request: JsonObject): string {
  const given = TEXT_FIELDS.filter((field) => request[field] !== undefined && request[field] !== null);
  if (given.length > 1) throw invalid(`expected one of ${TEXT_FIELDS.join(', ')} but received ${given.join(' and ')}`, given[1] as string);
  return given[0] ?? 'prompt';
}

/** `text_pair` beside a single text belongs to it. */
function withPair(request: JsonObject, field: string): unknown {
  const { text_pair: pair = null, [field]: texts } = request;
  if (pair === null) return texts;
  if (typeof texts !== 'string')
    throw invalid(`expected one string for ${field} beside text_pair; in an array, put each pair into {"text", "text_pair"}`, 'text_pair');
  return textInput({ text: texts, text_pair: pair }, field);
}

function checkCharacters(inputs: TextInput[], field: string): void {
  const lengthOf = (input: TextInput): number => (isObject(input) ? input.text.length + (input.text_pair?.length ?? 0) : input.length);
  const characters = inputs.reduce((sum, input) => sum + lengthOf(input), 0);
  if (characters > CHARACTERS_MAX)
    throw invalid(`expected at most ${CHARACTERS_MAX} characters in ${field} but received ${characters}; send fewer in a request`, field);
}

function idsOf(list: unknown, path: string): number[] {
  if (!Array.isArray(list)) throw mismatch('an array of token ids', path, list);
  if (list.some((id) => Array.isArray(id))) throw invalid(`expected token ids in ${path} but received ${quote('an array')}`, path);
  // What a number cannot hold is no token id; the check that follows says so.
  return list.map((id: unknown) => (typeof id === 'bigint' ? Number(id) : id)) as number[];
}

const listOf = (model: ServedModel, data: object[]): object => ({
  object: 'list',
  model: model.name,
  data: data.map((each, index) => ({ index, ...each })),
});

/** A request with nothing to run. */
function answered(model: ServedModel, body: object): PreparedRequest {
  return {
    model: model.name,
    version: model.version,
    revision: model.revision,
    remoteFiles: model.remoteFiles,
    items: [],
    tokenCount: 0,
    timeoutMs: model.timeoutMs,
    priority: 0,
    respond: () => ({ kind: 'json', body }),
  };
}
