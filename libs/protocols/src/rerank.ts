import type { ItemResult } from '@app/contracts';
import type { EncodeOptions, ModelView, ServedModel, TextRow } from '@app/models';
import {
  answering,
  atPath,
  expectItems,
  expectObject,
  expectString,
  invalid,
  isObject,
  mismatch,
  optionalBoolean,
  optionalInteger,
  optionalString,
  type JsonObject,
} from './checks';
import { mapInSlices } from './slices';
import { refuseOtherFields, rowsRequest, textModelFor, tokensIn, truncationOf, TRUNCATION_FIELDS } from './text-request';
import type { Limits, PreparedRequest } from './types';

/** The query is tokenized anew beside each document, so a small body could ask for a lot of work. */
const QUERY_CHARACTERS_MAX = 1024 * 1024;
const COUNT_MAX = 1_000_000;

const COMMON = ['model', 'query', 'raw_scores', 'prompt_name', 'user', 'service_tier', ...TRUNCATION_FIELDS];
/** Cohere's and Jina's shape; TEI's has `texts` for `documents`. */
const DOCUMENTS_FIELDS = [...COMMON, 'documents', 'top_n', 'return_documents', 'max_tokens_per_doc', 'rank_fields'];
const TEXTS_FIELDS = [...COMMON, 'texts', 'return_text'];

interface Ranked {
  index: number;
  score: number;
  logit: number;
}

/** Checks and tokenizes a `POST /v1/rerank` body, in the shape of Jina and Cohere or in that of TEI (docs/protocols.md). */
export async function prepareRerank(body: unknown, catalog: ModelView, limits: Limits): Promise<PreparedRequest> {
  const request = expectObject(body, 'body');
  const model = catalog.find(expectString(request.model, 'model'), null);
  const text = textModelFor(model, 'a reranker', ['text-pair-scoring']);
  const query = textOf(request.query, 'query');
  const asTei = request.texts !== undefined && request.documents === undefined;
  refuseOtherFields(request, asTei ? TEXTS_FIELDS : DOCUMENTS_FIELDS, 'body');
  const field = asTei ? 'texts' : 'documents';
  const documents = expectItems(request[field], field, limits.itemsMax);
  const texts = documents.map((document, i) => textOf(document, `${field}[${i}]`));
  checkQuery(query, texts.length);
  const answer = asTei ? teiAnswer(request, documents) : documentsAnswer(request, documents, model);
  const rows = await text
    .encode(
      texts.map((pair) => ({ text: query, text_pair: pair })),
      optionsOf(request),
    )
    .catch((error: unknown) => {
      throw atPath(error, (index) => `${field}${index}`);
    });
  return rowsRequest(model, request, rows, async (results) => ({
    kind: 'json',
    body: answer(await rank(rows, results, field), tokensIn(rows)),
  }));
}

/** A text, or the text of an object; what else the object has is the caller's own, but for an image, which Jina would look at. */
function textOf(value: unknown, path: string): string {
  if (isObject(value) && value.image !== undefined && value.image !== null)
    throw invalid(`expected a text for ${path} but received an image; a reranker here takes texts`, `${path}.image`);
  const text = isObject(value) ? value.text : value;
  if (typeof text === 'string') return text;
  throw isObject(value) ? mismatch('a string', `${path}.text`, text) : mismatch('a string or an object with "text"', path, value);
}

function checkQuery({ length }: string, documents: number): void {
  if (length * documents <= QUERY_CHARACTERS_MAX) return;
  throw invalid(
    `expected at most ${QUERY_CHARACTERS_MAX} characters of query, counted once for each document, but received ${length} × ${documents}; send fewer documents in a request, or a shorter query`,
    'query',
  );
}

function optionsOf(request: JsonObject): EncodeOptions {
  const pairTokensMax = optionalInteger(request.max_tokens_per_doc, 'max_tokens_per_doc', { min: 1, max: COUNT_MAX });
  const fields = request.rank_fields ?? null;
  if (fields !== null && !(Array.isArray(fields) && fields.length === 1 && fields[0] === 'text'))
    throw mismatch('["text"], as only the text of a document is ranked,', 'rank_fields', fields);
  return {
    ...truncationOf(request),
    ...(pairTokensMax !== null && { pairTokensMax }),
    rawScores: optionalBoolean(request.raw_scores, 'raw_scores') ?? false,
    promptName: optionalString(request.prompt_name, 'prompt_name'),
    topK: null,
  };
}

/** Best first, by logit, as scores of large logits are rounded to the same number; equal ones in the order of the documents. */
async function rank(rows: TextRow[], results: ItemResult[], field: string): Promise<Ranked[]> {
  const ranked = await mapInSlices(rows, (row, index) => {
    const [scored] = answering(`${field}[${index}]`, () => row.decodeScores(results[index] as ItemResult));
    return { index, score: scored?.score ?? NaN, logit: scored?.logit ?? NaN };
  });
  return ranked.sort((a, b) => b.logit - a.logit || a.index - b.index);
}

type Answer = (ranked: Ranked[], tokenCount: number) => object;

function documentsAnswer(request: JsonObject, documents: unknown[], model: ServedModel): Answer {
  const top = optionalInteger(request.top_n, 'top_n', { min: 1, max: COUNT_MAX }) ?? documents.length;
  const withDocuments = optionalBoolean(request.return_documents, 'return_documents') ?? false;
  return (ranked, tokenCount) => ({
    object: 'list',
    model: model.name,
    results: ranked.slice(0, top).map(({ index, score }) => {
      const document = documents[index];
      return { index, relevance_score: score, ...(withDocuments && { document: isObject(document) ? document : { text: document } }) };
    }),
    usage: { prompt_tokens: tokenCount, total_tokens: tokenCount },
    meta: { tokens: { input_tokens: tokenCount } },
  });
}

function teiAnswer(request: JsonObject, texts: unknown[]): Answer {
  const withText = optionalBoolean(request.return_text, 'return_text') ?? false;
  return (ranked) => ranked.map(({ index, score }) => ({ index, score, ...(withText && { text: textOf(texts[index], 'texts') }) }));
}
