import type { ItemResult } from '@app/contracts';
import type { EncodeOptions, ModelView, ServedModel, TextModel, TextRow } from '@app/models';
import type { AnswerParts } from './answer-parts';
import { isObject, type JsonObject } from './checks';
import type { Endpoint, EndpointKind } from './types';

/** Bodies that differ in their one text only, checked once for all of them. */
export interface Bulk {
  model: ServedModel;
  text: TextModel;
  options: EncodeOptions;
  /** What the endpoint answers to a body with this text; throws as `PreparedRequest.respond` rejects. */
  answer(row: TextRow, result: ItemResult): AnswerParts;
}

/** Null: such bodies are prepared one by one. Throws an `InterleaveError` where `prepare` rejects for the body with any text. */
export type BulkPreparer = (body: JsonObject, models: ModelView, endpoint: Endpoint) => Bulk | null;

/** The one text of a body; null: it has none, or more than one. */
export function textOf(kind: EndpointKind, body: unknown): string | null {
  if (!isObject(body)) return null;
  if (kind === 'predict') {
    const { instances } = body;
    const only: unknown = Array.isArray(instances) && instances.length === 1 ? instances[0] : null;
    return typeof only === 'string' ? only : null;
  }
  return (kind === 'embeddings' || kind === 'classify') && typeof body.input === 'string' ? body.input : null;
}

/** The same body with another text. Precondition: `textOf` finds one. */
export function withText(kind: EndpointKind, body: object, text: string): object {
  return kind === 'predict' ? { ...body, instances: [text] } : { ...body, input: text };
}
