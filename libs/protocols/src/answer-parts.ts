import { jsonLine } from './json-line';

/** JSON of an answer: `before`, the numbers of `vector` as an array (null: nothing), `after`. As `jsonLine` of the whole answer. */
export interface AnswerParts {
  before: string;
  vector: Float32Array | null;
  after: string;
}

/** Where a body has its vector. */
export const VECTOR_MARK = '#vector#';
const QUOTED_MARK = `"${VECTOR_MARK}"`;

/** An answer that is not mostly one vector. */
export function plainParts(body: object): AnswerParts {
  return { before: jsonLine(body), vector: null, after: '' };
}

/** What is around the vector of a body that has the mark in its place. Precondition: no other string before it is the mark. */
export function partsAround(body: object): Omit<AnswerParts, 'vector'> {
  const text = jsonLine(body);
  const at = text.indexOf(QUOTED_MARK);
  return { before: text.slice(0, at), after: text.slice(at + QUOTED_MARK.length) };
}
