import { shortFloats } from '@app/native';

/**
 * The answer of a task head as it is in JSON. Vectors have the fewest digits of which each number is the same float32 again, as those of
 * OpenAI and text-embeddings-inference have; what is no vector stays.
 */
export function vectorsToJson(answer: object): object {
  if (answer instanceof Float32Array) return shortFloats(answer);
  if (Array.isArray(answer)) return answer.map((element: unknown) => (element instanceof Float32Array ? shortFloats(element) : element));
  const { values } = answer as { values?: unknown };
  return values instanceof Float32Array ? { ...answer, values: shortFloats(values) } : answer;
}
