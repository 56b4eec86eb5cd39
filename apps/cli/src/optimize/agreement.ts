import type { Datatype, TensorSpec } from '@app/contracts';
import type { ServedModel } from '@app/models';

/** How near two answers to one row are. */
export interface Comparison {
  /** Null: they have no vector of two numbers or more. */
  cosine: number | null;
  /** Another label, entity, number of elements, or integer. */
  isFlipped: boolean;
  /** Largest absolute difference of two numbers that stand for the same. */
  difference: number;
}

/** Over all rows. */
export interface Agreement {
  rows: number;
  cosineMean: number | null;
  cosineMin: number | null;
  flips: number;
  differenceMax: number;
  /** Rows that the variant failed to answer; they count as flips. */
  failed: number;
  /** There is neither a vector nor a label: only how far scores are apart says whether answers are alike. */
  isOfScores: boolean;
}

const FAILED: Comparison = { cosine: null, isFlipped: true, difference: Infinity };
const FLIPPED: Comparison = { cosine: null, isFlipped: true, difference: 0 };

/** `answers`: of the original and of the variant; null: it failed to give one. */
export function agreementOf(model: ServedModel, answers: readonly (readonly [unknown, unknown])[]): Agreement {
  const comparisons = answers.map(([expected, actual]) => (actual === null ? FAILED : compareAnswers(model, expected, actual)));
  const cosines = comparisons.flatMap(({ cosine }) => (cosine === null ? [] : [cosine]));
  return {
    rows: answers.length,
    cosineMean: cosines.length === 0 ? null : cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length,
    cosineMin: cosines.length === 0 ? null : Math.min(...cosines),
    flips: comparisons.filter(({ isFlipped }) => isFlipped).length,
    differenceMax: Math.max(0, ...comparisons.map(({ difference }) => difference)),
    failed: comparisons.filter((comparison) => comparison === FAILED).length,
    isOfScores: cosines.length === 0 && !hasLabels(model),
  };
}

const hasLabels = ({ task, labels, signature }: ServedModel): boolean =>
  task === 'sequence-classification' ||
  task === 'token-classification' ||
  (task === 'tensor' && (labels !== null || signature.outputs.every(({ datatype }) => !isFloat(datatype))));

/** Of two predictions as `:predict` gives them. */
export function compareAnswers({ task, signature, labels }: ServedModel, expected: unknown, actual: unknown): Comparison {
  switch (task) {
    case 'sequence-classification':
      return compareLabels(expected as Scored[], actual as Scored[]);
    case 'sparse':
      return compareVectors(...alignSparse(expected as Sparse, actual as Sparse));
    case 'tensor':
      return compareOutputs(signature.outputs, labels !== null, expected, actual);
    case 'token-classification':
      return compareEntities(expected as Entity[], actual as Entity[]);
    case 'embedding':
    case 'multi-vector':
    case 'text-pair-scoring':
      return compareVectors(numbersIn(expected), numbersIn(actual));
  }
}

interface Scored {
  label: string;
  score: number;
}

/** Best first; by label, as close scores may change places. */
function compareLabels(expected: Scored[], actual: Scored[]): Comparison {
  const scores = new Map(actual.map(({ label, score }) => [label, score]));
  const differences = expected.map(({ label, score }) => Math.abs(score - (scores.get(label) ?? Infinity)));
  return { cosine: null, isFlipped: expected[0]?.label !== actual[0]?.label, difference: Math.max(0, ...differences) };
}

interface Entity {
  entity: string;
  index: number;
  score: number;
}

function compareEntities(expected: Entity[], actual: Entity[]): Comparison {
  const isSame =
    expected.length === actual.length &&
    expected.every(({ entity, index }, i) => entity === actual[i]?.entity && index === actual[i]?.index);
  return isSame ? { ...compareVectors(numbersIn(expected.map(scoreOf)), numbersIn(actual.map(scoreOf))), cosine: null } : FLIPPED;
}

const scoreOf = ({ score }: Entity): number => score;

interface Sparse {
  indices: number[];
  values: number[];
}

function alignSparse(expected: Sparse, actual: Sparse): [number[], number[]] {
  const indices = [...new Set([...expected.indices, ...actual.indices])];
  const weights = ({ indices: own, values }: Sparse): number[] => {
    const byIndex = new Map(own.map((index, i) => [index, values[i] ?? 0]));
    return indices.map((index) => byIndex.get(index) ?? 0);
  };
  return [weights(expected), weights(actual)];
}

/** Outputs of floating-point numbers by angle and distance, all others exactly; the worst of them counts. */
function compareOutputs(outputs: readonly TensorSpec[], hasClasses: boolean, expected: unknown, actual: unknown): Comparison {
  const valueOf = (answer: unknown, name: string): unknown => (outputs.length === 1 ? answer : (answer as Record<string, unknown>)[name]);
  const each = outputs.map(({ name, datatype }): Comparison => {
    const [a, b] = [valueOf(expected, name), valueOf(actual, name)];
    if (!isFloat(datatype)) return isEqual(a, b) ? { cosine: null, isFlipped: false, difference: 0 } : FLIPPED;
    const [left, right] = [numbersIn(a), numbersIn(b)];
    const comparison = compareVectors(left, right);
    return hasClasses && largestAt(left) !== largestAt(right) ? { ...comparison, isFlipped: true } : comparison;
  });
  const cosines = each.flatMap(({ cosine }) => (cosine === null ? [] : [cosine]));
  return {
    cosine: cosines.length === 0 ? null : Math.min(...cosines),
    isFlipped: each.some(({ isFlipped }) => isFlipped),
    difference: Math.max(0, ...each.map(({ difference }) => difference)),
  };
}

const isFloat = (datatype: Datatype): boolean => datatype.startsWith('FP') || datatype === 'BF16';
const isEqual = (a: unknown, b: unknown): boolean => String(a) === String(b);
const largestAt = (numbers: number[]): number => numbers.indexOf(Math.max(...numbers));

function compareVectors(a: number[], b: number[]): Comparison {
  if (a.length !== b.length) return { cosine: null, isFlipped: true, difference: Infinity };
  const difference = a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] ?? 0))), 0);
  return { cosine: a.length < 2 ? null : cosineOf(a, b), isFlipped: false, difference };
}

/** Two vectors of zeros are alike. */
function cosineOf(a: number[], b: number[]): number {
  const dot = (x: number[], y: number[]): number => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
  const norm = Math.sqrt(dot(a, a) * dot(b, b));
  if (norm === 0) return dot(a, a) === dot(b, b) ? 1 : 0;
  return Math.min(1, dot(a, b) / norm);
}

/** All numbers of nested lists or objects, in order. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  if (Array.isArray(value)) return value.flatMap(numbersIn);
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}
