import { quantile } from '../support/statistics';
import type { Outcome } from './open-loop';

/** One offered load, as callers saw it. Rates and times are those after the warm-up, during which the load generator compiles itself. */
export interface Step {
  /** Share of the capacity, which is that of bare session calls at the best batches. */
  load: number;
  offeredPerSecond: number;
  /** Answers within the deadline. */
  goodputPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  refused: number;
  /** From when a request was due. */
  refusalFromDueP99Ms: number;
  /** From when it was sent. */
  refusalP50Ms: number;
  refusalP99Ms: number;
  /** Admitted, but answered after the deadline or not at all; warm-up included. */
  late: number;
  /** Neither answered nor refused, warm-up included: must not happen. */
  failed: number;
  /** CPU time of the load generator, of one CPU, warm-up included. */
  generatorCpuShare: number;
}

const OK = 200;
const REFUSED = 429;
const TOO_LATE = 504;

export interface StepTimes {
  /** From the begin on. */
  warmMs: number;
  durationMs: number;
  deadlineMs: number;
}

/** `startMs`: when the load began, on the clock of `performance.now`. */
export function summarize(load: number, outcomes: Outcome[], times: StepTimes & { startMs: number; generatorCpuMs: number }): Step {
  const { startMs, warmMs, durationMs, deadlineMs, generatorCpuMs } = times;
  const steady = outcomes.filter(({ dueMs }) => dueMs >= startMs + warmMs);
  const isInTime = ({ status, latencyMs }: Outcome): boolean => status === OK && latencyMs <= deadlineMs;
  const answered = latencies(steady, OK);
  const refusals = steady.filter(({ status }) => status === REFUSED);
  const refusalServiceMs = refusals.map(({ serviceMs }) => serviceMs);
  return {
    load,
    offeredPerSecond: (steady.length * 1000) / durationMs,
    goodputPerSecond: (steady.filter(isInTime).length * 1000) / durationMs,
    p50Ms: quantile(answered, 0.5),
    p99Ms: quantile(answered, 0.99),
    refused: refusals.length,
    refusalFromDueP99Ms: quantile(latencies(refusals, REFUSED), 0.99),
    refusalP50Ms: quantile(refusalServiceMs, 0.5),
    refusalP99Ms: quantile(refusalServiceMs, 0.99),
    late: outcomes.filter((outcome) => outcome.status === TOO_LATE || (outcome.status === OK && !isInTime(outcome))).length,
    failed: outcomes.filter(({ status }) => ![OK, REFUSED, TOO_LATE].includes(status)).length,
    generatorCpuShare: generatorCpuMs / (warmMs + durationMs),
  };
}

const latencies = (outcomes: Outcome[], status: number): number[] =>
  outcomes.filter((outcome) => outcome.status === status).map(({ latencyMs }) => latencyMs);
