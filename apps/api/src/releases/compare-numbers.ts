/** Numbers of one answer, none of them rounded. */
export type Numbers = ArrayLike<number>;

/** What came of two answers to one row. */
export interface RowComparison {
  /** Whether a caller may take one for the other. */
  agrees: boolean;
  /** False: the answers have not the same form, so that nothing was measured. Such answers do not agree. */
  isComparable: boolean;
  /** Of vectors; null: there are none. */
  cosine: number | null;
  /** The largest absolute one between two numbers, or Infinity beside NaN; null: there are no numbers. */
  difference: number | null;
  /** Labels that differ. */
  flips: number;
}

export const INCOMPARABLE: RowComparison = { agrees: false, isComparable: false, cosine: null, difference: null, flips: 0 };

/**
 * Vectors agree from this cosine on, an angle of 2.6 degrees. Float32 sums in another order stay above 0.999999 and fp16
 * weights above 0.9999; int8 weights often fall below 0.99 (docs/decisions/0038): those are other vectors, and whoever
 * searches an index with them should know.
 */
const COSINE_MIN = 0.999;
/** Tolerance of a number beside the stable version's: that of ONNX's own backend tests (`onnx.backend.test`, rtol). */
export const RELATIVE_MAX = 1e-3;
/**
 * The tolerance of numbers near zero, relative to the largest of their row. ONNX's absolute one (1e-7) is for single
 * operators; the rounding of a whole float32 model, whose rows share runs with other ones, grows with its numbers.
 */
const NEAR_ZERO = 1e-5;

/** In double precision. Zero vectors: 1 of two, 0 of one. Both of one length, without NaN and infinite numbers. */
export function cosineOf(a: Numbers, b: Numbers): number {
  const [aLargest, bLargest] = [largestOf(a), largestOf(b)];
  if (aLargest === 0 || bLargest === 0) return aLargest === bLargest ? 1 : 0;
  let [dot, aSquares, bSquares] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    // Scaled, so that no square is infinite or lost.
    const x = (a[i] as number) / aLargest;
    const y = (b[i] as number) / bLargest;
    dot += x * y;
    aSquares += x * x;
    bSquares += y * y;
  }
  return Math.max(-1, Math.min(1, dot / Math.sqrt(aSquares * bSquares)));
}

/** NaN and infinite numbers that are the same do not differ; other ones by Infinity. */
export function differenceOf(a: Numbers, b: Numbers): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, distance(a[i] as number, b[i] as number));
  return largest;
}

/** Vectors of one row; other lengths cannot be compared. */
export function compareVectors(own: Numbers, other: Numbers): RowComparison {
  if (own.length !== other.length) return INCOMPARABLE;
  const difference = differenceOf(own, other);
  // The same NaN at the same places is the same answer.
  const cosine = areFinite(own) && areFinite(other) ? cosineOf(own, other) : null;
  return row({ agrees: cosine === null ? difference === 0 : cosine >= COSINE_MIN, cosine, difference });
}

/** Numbers of one row that are no vector: each within the tolerance of the stable version's. */
export function compareElements(stable: Numbers, tested: Numbers): RowComparison {
  if (stable.length !== tested.length) return INCOMPARABLE;
  const nearZero = NEAR_ZERO * largestOf(stable);
  let agrees = true;
  for (let i = 0; agrees && i < stable.length; i++) {
    const expected = stable[i] as number;
    const away = distance(expected, tested[i] as number);
    agrees = away === 0 || (away < Infinity && away <= nearZero + RELATIVE_MAX * Math.abs(expected));
  }
  return row({ agrees, difference: differenceOf(stable, tested) });
}

/** Scores of one row for each label: the best label counts, at each of the places that have `width` scores. */
export function compareScores(own: Numbers, other: Numbers, width: number): RowComparison {
  if (own.length !== other.length) return INCOMPARABLE;
  let flips = 0;
  for (let at = 0; at + width <= own.length; at += width) if (bestAt(own, at, width) !== bestAt(other, at, width)) flips += 1;
  return row({ agrees: flips === 0, difference: differenceOf(own, other), flips });
}

/** All that was compared of one row: it agrees when each part does. */
export function combine(parts: readonly RowComparison[]): RowComparison {
  if (parts.some(({ isComparable }) => !isComparable)) return INCOMPARABLE;
  const known = (key: 'cosine' | 'difference'): number[] => parts.flatMap((part) => part[key] ?? []);
  return {
    agrees: parts.every(({ agrees }) => agrees),
    isComparable: true,
    cosine: known('cosine').reduce<number | null>((least, cosine) => Math.min(least ?? 1, cosine), null),
    difference: known('difference').reduce<number | null>((most, difference) => Math.max(most ?? 0, difference), null),
    flips: parts.reduce((sum, { flips }) => sum + flips, 0),
  };
}

export function row(measured: Pick<RowComparison, 'agrees'> & Partial<RowComparison>): RowComparison {
  return { isComparable: true, cosine: null, difference: null, flips: 0, ...measured };
}

function distance(a: number, b: number): number {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0;
  const between = Math.abs(a - b);
  return Number.isNaN(between) ? Infinity : between;
}

/** Of the finite ones. */
function largestOf(values: Numbers): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i] as number);
    if (size > largest && size < Infinity) largest = size;
  }
  return largest;
}

function areFinite(values: Numbers): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}

/** The first of the largest; NaN is none, and where there is nothing else its place is -1. */
function bestAt(values: Numbers, from: number, width: number): number {
  let best = -1;
  for (let i = 0; i < width; i++) {
    const value = values[from + i] as number;
    if (!Number.isNaN(value) && (best < 0 || value > (values[from + best] as number))) best = i;
  }
  return best;
}
