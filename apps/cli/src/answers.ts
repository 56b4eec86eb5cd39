/** Where an answer is not the expected one, as `answer[0].score: expected 0.5 but received 0.7`; null: nowhere. */
export function differenceOf(expected: unknown, actual: unknown, tolerance: number, path = 'answer'): string | null {
  if (typeof expected === 'number' && typeof actual === 'number')
    return Math.abs(expected - actual) <= tolerance ? null : told(path, expected, actual);
  if (Array.isArray(expected) && Array.isArray(actual)) {
    if (expected.length !== actual.length) return `${path}: expected ${expected.length} elements but received ${actual.length}`;
    return isRanking(expected) && isRanking(actual)
      ? firstOf(rankingKeys(expected, actual), (label) =>
          differenceOf(scoreOf(expected, label), scoreOf(actual, label), tolerance, `${path}["${label}"]`),
        )
      : firstOf([...expected.keys()], (i) => differenceOf(expected[i], actual[i], tolerance, `${path}[${i}]`));
  }
  if (isObject(expected) && isObject(actual)) {
    const keys = [...new Set([...Object.keys(expected), ...Object.keys(actual)])];
    return firstOf(keys, (key) => differenceOf(expected[key], actual[key], tolerance, `${path}.${key}`));
  }
  return Object.is(expected, actual) ? null : told(path, expected, actual);
}

type JsonObject = Record<string, unknown>;

const SHOWN_CHARACTERS_MAX = 80;

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Labels with scores, each once: where scores are close, the order means nothing. */
function isRanking(list: readonly unknown[]): list is { label: string; score: number }[] {
  const labels = list.flatMap((element) =>
    isObject(element) && typeof element.label === 'string' && typeof element.score === 'number' && Object.keys(element).length === 2
      ? [element.label]
      : [],
  );
  return list.length > 0 && new Set(labels).size === list.length;
}

type Ranking = readonly { label: string; score: number }[];

const rankingKeys = (expected: Ranking, actual: Ranking): string[] => [...new Set([...expected, ...actual].map(({ label }) => label))];
const scoreOf = (ranking: Ranking, label: string): number | undefined => ranking.find((element) => element.label === label)?.score;

function firstOf<T>(keys: readonly T[], differenceAt: (key: T) => string | null): string | null {
  for (const key of keys) {
    const difference = differenceAt(key);
    if (difference !== null) return difference;
  }
  return null;
}

const told = (path: string, expected: unknown, actual: unknown): string =>
  `${path}: expected ${shown(expected)} but received ${shown(actual)}`;

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner));
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
