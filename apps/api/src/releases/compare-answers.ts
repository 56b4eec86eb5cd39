import type { Task } from '@app/contracts';
import { combine, compareElements, compareVectors, INCOMPARABLE, RELATIVE_MAX, row, type RowComparison } from './compare-numbers';

type Row = Record<string, unknown>;

interface Scored {
  label: string;
  score: number;
}

/**
 * What callers get of two versions for one row of a task that has a head, in the form of `:predict`:
 * vectors agree from a cosine of 0.999 on, of several in one row the worst counts; of labels the best one must be the same; of
 * entities all, by place and label; scores of text pairs must be within `RELATIVE_MAX` of 1 or of themselves.
 */
export function compareAnswers(task: Task, stable: unknown, tested: unknown): RowComparison {
  switch (task) {
    case 'embedding':
      return areNumbers(stable) && areNumbers(tested) ? compareVectors(stable, tested) : INCOMPARABLE;
    case 'sparse':
      return compareSparse(stable, tested);
    case 'multi-vector':
      return compareAll(stable, tested);
    case 'sequence-classification':
      return compareLabels(stable, tested);
    case 'token-classification':
      return compareEntities(stable, tested);
    case 'text-pair-scoring':
      return comparePairs(stable, tested);
    case 'tensor':
      return INCOMPARABLE;
  }
}

/** All rows of a request. One that a version left out, because others were better, is a label that differs. */
export function compareRows(task: Task, stable: readonly unknown[], tested: readonly unknown[]): RowComparison[] {
  return Array.from({ length: Math.max(stable.length, tested.length) }, (_, i) => [stable[i], tested[i]] as const)
    .filter(([own, other]) => own !== undefined || other !== undefined)
    .map(([own, other]) =>
      own === undefined || other === undefined ? row({ agrees: false, flips: 1 }) : compareAnswers(task, own, other),
    );
}

/** Weights that one of them lacks are 0. */
function compareSparse(stable: unknown, tested: unknown): RowComparison {
  const [own, other] = [weightsOf(stable), weightsOf(tested)];
  if (own === null || other === null) return INCOMPARABLE;
  const words = [...new Set([...own.keys(), ...other.keys()])];
  const values = (weights: Map<number, number>): number[] => words.map((word) => weights.get(word) ?? 0);
  return compareVectors(values(own), values(other));
}

function weightsOf(answer: unknown): Map<number, number> | null {
  const { indices, values } = (answer ?? {}) as Row;
  if (!areNumbers(indices) || !areNumbers(values) || indices.length !== values.length) return null;
  return new Map(indices.map((word, i) => [word, values[i] as number]));
}

/** Vectors of tokens, in their order; another count of tokens means another tokenizer. */
function compareAll(stable: unknown, tested: unknown): RowComparison {
  if (!Array.isArray(stable) || !Array.isArray(tested) || stable.length !== tested.length) return INCOMPARABLE;
  return combine(stable.map((vector: unknown, i) => compareAnswers('embedding', vector, tested[i])));
}

function compareLabels(stable: unknown, tested: unknown): RowComparison {
  const [own, other] = [stable, tested].map((answer) => (isListOf(answer, 'label') ? (answer as unknown as Scored[]) : null));
  if (!own?.[0] || !other?.[0]) return INCOMPARABLE;
  const agrees = own[0].label === other[0].label;
  return row({ agrees, flips: agrees ? 0 : 1, difference: commonDifference(own, other, ({ label }) => label) });
}

function compareEntities(stable: unknown, tested: unknown): RowComparison {
  if (!isListOf(stable, 'entity') || !isListOf(tested, 'entity')) return INCOMPARABLE;
  const placeOf = ({ entity, index }: Row): string => JSON.stringify([index, entity]);
  const [own, other] = [stable, tested].map((entities) => new Set(entities.map(placeOf))) as [Set<string>, Set<string>];
  const flips = [...own].filter((entity) => !other.has(entity)).length + [...other].filter((entity) => !own.has(entity)).length;
  const scored = (entities: Row[]) => entities as unknown as Scored[];
  return row({
    agrees: flips === 0,
    flips,
    difference: commonDifference(scored(stable), scored(tested), (entity) => placeOf(entity as unknown as Row)),
  });
}

/** Of what both have; null: they have nothing in common. */
function commonDifference(own: Scored[], other: Scored[], keyOf: (scored: Scored) => string): number | null {
  const scores = new Map(other.map((scored) => [keyOf(scored), scored.score]));
  const differences = own.flatMap((scored) => {
    const score = scores.get(keyOf(scored));
    return score === undefined ? [] : [Math.abs(scored.score - score)];
  });
  return differences.length === 0 ? null : Math.max(...differences);
}

/** A probability is beside 1, a score without sigmoid beside its own size. */
function comparePairs(stable: unknown, tested: unknown): RowComparison {
  const [own, other] = [stable, tested].map((answer) => ((answer ?? {}) as Row).score);
  if (typeof own !== 'number' || typeof other !== 'number') return INCOMPARABLE;
  const { difference } = compareElements([own], [other]);
  return row({ agrees: (difference ?? 0) <= RELATIVE_MAX * Math.max(1, Math.abs(own)), difference });
}

const areNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((element: unknown) => typeof element === 'number');

const isListOf = (value: unknown, key: string): value is Row[] =>
  Array.isArray(value) && value.every((element: unknown) => typeof element === 'object' && element !== null && key in element);
