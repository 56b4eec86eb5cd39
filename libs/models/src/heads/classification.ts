import { InterleaveError, type ItemResult, type ModelSignature, type TensorSpec } from '@app/contracts';
import { ModelFileError } from '../model-files';
import type { TextManifest } from '../manifest';
import type { ScoredClass, ScoredLabel } from '../types';
import { describeSpecs, notGiven, pickOutput, type RowContext, type TaskHead } from './head';
import { checkFinite, floatsOf, outputOf, outputOfPlaces, sigmoid, softmax, type Floats } from './numbers';

/** Sequence classification: `[{label, score}]`, best first, at most `topK`. */
export function classificationHead(signature: ModelSignature, text: TextManifest): TaskHead {
  const spec = logitsOf(signature, 2, 'sequence-classification');
  const labelAt = labels(spec, text);
  if (spec.shape[1] === 1 && text.activation === 'softmax') throw new ModelFileError(softmaxOfOne('sequence-classification'));
  const decodeScores = (result: ItemResult, { rawScores }: RowContext): ScoredClass[] => {
    const logits = floatsOf(outputOf(result, spec.name));
    checkCount(logits.length, text.labels?.length ?? logits.length, spec.name);
    const scores = rawScores ? Array.from(logits) : activate(logits, text);
    return checkFinite(scores, spec.name).map((score, i) => ({ label: labelAt(i), score, logit: logits[i] as number }));
  };
  return {
    ...labelsOnly(spec.name),
    decodeScores,
    decode: (result, row) => bestFirst(decodeScores(result, row), row.topK),
  };
}

/** At most `topK`; null: all. By logit: scores of large logits are rounded to the same number. */
export function bestFirst(scored: ScoredClass[], topK: number | null): ScoredLabel[] {
  const sorted = [...scored].sort((a, b) => b.logit - a.logit);
  return sorted.slice(0, topK ?? sorted.length).map(({ label, score }) => ({ label, score }));
}

/** Text-pair scoring (cross-encoder): `{score}`. */
export function scoringHead(signature: ModelSignature, text: TextManifest): TaskHead {
  const spec = logitsOf(signature, 2, 'text-pair-scoring');
  const width = spec.shape[1] as number;
  if (text.activation === 'softmax') throw new ModelFileError(softmaxOfOne('text-pair-scoring'));
  if (width > 1) throw new ModelFileError(`task "text-pair-scoring" needs one logit but the output "${spec.name}" has ${width}`);
  const scoredOf = (result: ItemResult, { rawScores }: RowContext): ScoredClass => {
    const logits = floatsOf(outputOf(result, spec.name));
    checkCount(logits.length, 1, spec.name);
    const logit = logits[0] as number;
    const [score] = checkFinite([rawScores || text.activation === 'none' ? logit : sigmoid(logit)], spec.name) as [number];
    return { label: text.labels?.[0] ?? 'LABEL_0', score, logit };
  };
  return {
    ...labelsOnly(spec.name),
    decodeScores: (result, row) => [scoredOf(result, row)],
    decode: (result, row) => ({ score: scoredOf(result, row).score }),
  };
}

/**
 * Token classification: `[{entity, score, index, word, start, end}]` for each token whose best label is not `O`.
 * `index` counts tokens, special ones included; `start` and `end` count characters (code points) of the text and are
 * null when the caller sent token ids.
 */
export function tokenClassificationHead(signature: ModelSignature, text: TextManifest, tokenOf: (id: number) => string | null): TaskHead {
  const spec = logitsOf(signature, 3, 'token-classification');
  const labelAt = labels(spec, text);
  return {
    ...labelsOnly(spec.name),
    needsSpans: true,
    decode(result, row) {
      const tensor = outputOfPlaces(result, spec.name, row);
      const logits = floatsOf(tensor);
      const width = tensor.shape[2] as number;
      checkCount(width, text.labels?.length ?? width, spec.name);
      return Array.from({ length: row.tokenCount }, (_, index) => index)
        .filter((index) => row.spans?.[index]?.special !== true)
        .map((index) => ({ index, best: best(logits.subarray(index * width, (index + 1) * width), spec.name) }))
        .filter(({ best }) => labelAt(best.label) !== 'O')
        .map(({ index, best }) => ({ entity: labelAt(best.label), score: best.score, index, ...origin(row, index, tokenOf) }));
    },
  };
}

function labelsOnly(output: string): Omit<TaskHead, 'decode'> {
  return { output, needsSpans: false, embeddingWidth: null, decodeVector: notGiven, decodeScores: notGiven };
}

function origin(row: RowContext, index: number, tokenOf: (id: number) => string | null): object {
  const span = row.spans?.[index];
  const word = span?.token ?? tokenOf(row.ids[index] as number);
  return { word, start: span?.start ?? null, end: span?.end ?? null };
}

/** By logit: scores of logits that are close, or large, are rounded to the same number. */
function best(logits: Floats, output: string): { label: number; score: number } {
  const scores = checkFinite(softmax(logits), output);
  const label = logits.indexOf(Math.max(...logits));
  return { label, score: scores[label] as number };
}

function activate(logits: Floats, text: TextManifest): number[] {
  if (text.activation === 'none') return Array.from(logits);
  const usual = logits.length === 1 ? 'sigmoid' : 'softmax';
  return (text.activation ?? usual) === 'sigmoid' ? Array.from(logits, sigmoid) : softmax(logits);
}

const softmaxOfOne = (task: string): string =>
  `task "${task}" has one logit, and the softmax of one number is always 1; set activation_fn to Sigmoid or Identity`;

/** Where the graph does not tell how many logits there are, only the answer does. */
function checkCount(count: number, expected: number, output: string): void {
  if (count === expected) return;
  throw new InterleaveError(
    'inference_failed',
    `expected ${expected} logits, one for each label, from the output "${output}" but received ${count}; correct the labels of the model`,
  );
}

function logitsOf(signature: ModelSignature, rank: number, task: string): TensorSpec {
  const spec = pickOutput(signature, ['logits'], [rank]);
  if (spec !== null) return spec;
  throw new ModelFileError(
    `task "${task}" needs an output "logits" with ${rank} dimensions but the graph has ${describeSpecs(signature.outputs)}`,
  );
}

function labels(spec: TensorSpec, text: TextManifest): (index: number) => string {
  const width = spec.shape.at(-1) ?? -1;
  if (text.labels !== null && width > 0 && width !== text.labels.length) {
    throw new ModelFileError(
      `expected ${width} labels for the output "${spec.name}" but config.json or model.yaml has ${text.labels.length}`,
    );
  }
  return (index) => text.labels?.[index] ?? `LABEL_${index}`;
}
