import type { Agreement } from './agreement';
import type { Company } from './neighbours';
import type { VariantKind } from './python-tools';
import type { Speed } from './speed';

export interface ChoiceRule {
  cosineMin: number;
  flipsMax: number;
  /** Of scores without a label or a vector. */
  differenceMax: number;
}

/** What is known of the original or of a variant. */
export interface Candidate {
  kind: 'original' | VariantKind;
  /** What the tool made; of one that is not there, why. */
  note: string;
  /** Null: there is no such variant, or it cannot be served. */
  measured: Measured | null;
}

export interface Measured {
  /** Of the graph with its external data. */
  bytes: number;
  speed: Speed;
  /** Null: the original. */
  speedup: number | null;
  agreement: Agreement | null;
  /** As the worker runs its rows: `merged (padded)`, `alone: <why>`. */
  rows: string;
  /** The worker lets rows share runs. */
  sharesRuns: boolean;
  /** Rows in the company that the worker lets them have get the answers that they get alone. */
  isMergedSafely: boolean;
  company: Company[];
}

/** Less is what two measurements of one model differ by. */
const SPEEDUP_MIN = 1.05;
const DIGITS = 3;

/** Why a variant is not taken, or null. */
export function objection(candidate: Candidate, { cosineMin, flipsMax, differenceMax }: ChoiceRule): string | null {
  const { measured, note } = candidate;
  if (measured === null) return note;
  const { agreement, speedup } = measured;
  if (!measured.isMergedSafely) return 'its rows share runs although they change each other’s answers';
  if (agreement === null || agreement.rows === 0) return 'nothing was compared';
  if (agreement.failed > 0) return `it failed ${agreement.failed} of ${agreement.rows} rows`;
  if (agreement.flips > flipsMax) return `${agreement.flips} of ${agreement.rows} answers are others; at most ${flipsMax} may be`;
  if (agreement.cosineMin !== null && !(agreement.cosineMin >= cosineMin))
    return `the least cosine is ${agreement.cosineMin.toFixed(5)}; expected at least ${cosineMin}`;
  if (agreement.isOfScores && !(agreement.differenceMax <= differenceMax))
    return `scores differ by ${agreement.differenceMax.toPrecision(DIGITS)}; at most ${differenceMax} is allowed`;
  if (speedup === null) return 'its speed could not be measured';
  if (speedup < SPEEDUP_MIN) return `it is ${speedup.toFixed(2)} times as fast; less than ${SPEEDUP_MIN} is not worth another version`;
  return null;
}

export interface Choice {
  kind: Candidate['kind'];
  reason: string;
}

/** The fastest variant to which there is no objection, or else the original. */
export function choose(candidates: readonly Candidate[], rule: ChoiceRule): Choice {
  const eligible = candidates.filter((candidate) => candidate.kind !== 'original' && objection(candidate, rule) === null);
  const [best] = eligible.sort((a, b) => (b.measured?.speedup ?? 0) - (a.measured?.speedup ?? 0));
  if (best === undefined) return { kind: 'original', reason: 'no variant is faster and answers alike' };
  const { agreement, speedup, sharesRuns } = best.measured as Measured;
  const cosine =
    agreement === null || agreement.cosineMin === null
      ? `scores within ${agreement?.differenceMax.toPrecision(DIGITS)}`
      : `cosine at least ${agreement.cosineMin.toFixed(5)}`;
  const rows = sharesRuns ? 'its rows share runs' : 'its rows run alone';
  return {
    kind: best.kind,
    reason: `the fastest that answers alike: ${speedup?.toFixed(2)} times the speed, ${cosine}, ${agreement?.flips} flips in ${agreement?.rows} rows; ${rows}`,
  };
}
