import { jsonLine } from './json-line';

/** How the vector of an answer is written: an array of numbers, or a string of its little-endian float32 in Base64. */
export type VectorForm = 'numbers' | 'base64';

/** JSON of an answer: `before`, the vector (null: nothing), `after`. As `jsonLine` of the whole answer. */
export interface AnswerParts {
  before: string;
  vector: Float32Array | null;
  vectorForm: VectorForm;
  after: string;
}

/** Where a body has its vector. */
export const VECTOR_MARK = '#vector#';
const QUOTED_MARK = `"${VECTOR_MARK}"`;

/** An answer that is not mostly one vector. */
export function plainParts(body: object): AnswerParts {
  return { before: jsonLine(body), vector: null, vectorForm: 'numbers', after: '' };
}

/** What is around the vector of a body that has the mark in its place. Precondition: no other string before it is the mark. */
export function partsAround(body: object, vectorForm: VectorForm): Omit<AnswerParts, 'vector'> {
  const text = jsonLine(body);
  const at = text.indexOf(QUOTED_MARK);
  return { before: text.slice(0, at), vectorForm, after: text.slice(at + QUOTED_MARK.length) };
}

/** Little-endian float32, straight from the vector's memory. */
export function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
