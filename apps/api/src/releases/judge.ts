import type { CanaryFigures, PromoteRule, RollbackRule } from '@app/contracts';
import { isTooMany, valuesAbove } from './evidence';
import { countAbove, countOf, quantileMs, valueBelow, type WindowTotals } from './request-window';

/** A canary is judged each second for as long as it runs: with this chance each time a good one is hardly ever taken back. */
const CHANCE = 1e-4;
/** That the stable version's p99 is larger than it is taken for. */
const P99_CHANCE = 0.05;
/** One alone may be a worker's death, or a stray row. */
const BAD_MIN = 2;
/** With fewer a p99 is the largest value, whatever that was. */
const STABLE_MIN = 100;
/** Promotion needs something to look at: so many requests, or compared rows, in the window. */
const EVIDENCE_MIN = 50;
const P99 = 0.99;

/** What there is to judge a canary by, in one window. */
export interface Trial {
  canary: WindowTotals;
  stable: WindowTotals;
  /** Unix milliseconds. */
  sinceMs: number;
  ageMs: number;
  /** All that the canary got since then. */
  requests: number;
}

export interface Judgement {
  action: 'promote' | 'rollback';
  reason: string;
}

export function figuresOf({ canary, stable, sinceMs, requests: requestsTotal }: Trial): CanaryFigures {
  const [p99Ms, stableP99Ms] = [quantileMs(canary, P99), quantileMs(stable, P99)];
  return {
    sinceMs,
    requestsTotal,
    requests: canary.requests,
    errors: canary.errors,
    stableRequests: stable.requests,
    stableErrors: stable.errors,
    p99Ms,
    stableP99Ms,
    p99Ratio: p99Ms === null || stableP99Ms === null ? null : p99Ms / stableP99Ms,
    comparedRows: canary.rows,
    agreement: canary.rows === 0 ? null : canary.agreeing / canary.rows,
  };
}

/** Null: the canary goes on. */
export function judge(trial: Trial, rollback: RollbackRule | null, promote: PromoteRule | null): Judgement | null {
  const checks = rollback === null ? [] : [errors, disagreement, slowness].map((check) => check(trial, rollback));
  const bad = checks.find((check) => check.verdict === 'bad');
  if (bad !== undefined) return { action: 'rollback', reason: bad.reason };
  if (promote === null || trial.ageMs < promote.afterMs || trial.requests < promote.requestsMin) return null;
  if (checks.some(({ verdict }) => verdict === 'unclear')) return null;
  const seconds = Math.round(trial.ageMs / 1000);
  return { action: 'promote', reason: `${trial.requests} requests in ${seconds} s gave no reason to take it back` };
}

/** `bad`: beyond chance. `unclear`: it may be within its limit or not. */
interface Check {
  verdict: 'good' | 'unclear' | 'bad';
  reason: string;
}

/** What fails on the stable version as often is not the canary's fault. */
function errors({ canary, stable }: Trial, { errorRate }: RollbackRule): Check {
  const expected = Math.max(errorRate ?? 1, stable.requests === 0 ? 0 : stable.errors / stable.requests);
  const reason = `${part(canary.errors, canary.requests)} requests failed, and at most ${percent(errorRate ?? 1)} may`;
  return check(errorRate, { bad: canary.errors, of: canary.requests, expected, least: 0 }, reason);
}

function disagreement({ canary }: Trial, { minAgreement }: RollbackRule): Check {
  const bad = canary.rows - canary.agreeing;
  const reason = `${part(bad, canary.rows)} compared answers differ from the stable version's, and at most ${percent(1 - (minAgreement ?? 0))} may`;
  return check(minAgreement, { bad, of: canary.rows, expected: 1 - (minAgreement ?? 0), least: EVIDENCE_MIN }, reason);
}

/**
 * If the canary's p99 is at most `p99Ratio` times the stable version's, then one request in a hundred takes longer than
 * that. Bodies of a size are compared with such bodies, so that callers who send more than others make no canary slow.
 */
function slowness({ canary, stable }: Trial, { p99Ratio }: RollbackRule): Check {
  let [slow, judged] = [0, 0];
  stable.latencies.forEach((latencies, size) => {
    const own = canary.latencies[size] ?? null;
    const known = countOf(latencies);
    if (latencies === null || own === null || known < STABLE_MIN) return;
    const limitMs = (p99Ratio ?? Infinity) * valueBelow(latencies, valuesAbove(known, P99, P99_CHANCE));
    slow += countAbove(own, limitMs);
    judged += countOf(own);
  });
  const reason = `${part(slow, judged)} requests took longer than ${p99Ratio} times the stable version's p99 for bodies of their size, and at most 1 % may`;
  return check(p99Ratio, { bad: slow, of: judged, expected: 1 - P99, least: EVIDENCE_MIN }, reason);
}

interface Counted {
  bad: number;
  of: number;
  /** Part of them that may be bad. */
  expected: number;
  /** So many must be there to call it good. */
  least: number;
}

function check(limit: number | null, { bad, of, expected, least }: Counted, reason: string): Check {
  if (limit === null) return { verdict: 'good', reason };
  if (bad >= BAD_MIN && isTooMany(bad, of, expected, CHANCE)) return { verdict: 'bad', reason };
  return { verdict: of >= least && bad <= of * expected ? 'good' : 'unclear', reason };
}

const part = (bad: number, of: number): string => `${bad} of ${of}`;
const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`;
