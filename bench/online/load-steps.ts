import { quantile } from '../support/statistics';
import type { Outcome } from './open-loop';

/** One offered load, as callers saw it. */
export interface Step {
  /** Of the capacity: bare session calls at the best batches. */
  load: number;
  offeredPerSecond: number;
  /** Answers within the deadline. */
  goodputPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  refused: number;
  refusalP99Ms: number;
  /** Admitted, but answered after the deadline or not at all. */
  late: number;
  /** Neither answered nor refused: must not happen. */
  failed: number;
  /** CPU time of the load generator, of one CPU. */
  generatorCpuShare: number;
}

const OK = 200;
const REFUSED = 429;
const TOO_LATE = 504;

export function summarize(load: number, outcomes: Outcome[], options: { durationMs: number; deadlineMs: number; generatorCpuMs: number }): Step {
  const { durationMs, deadlineMs, generatorCpuMs } = options;
  const answered = outcomes.filter(({ status }) => status === OK).map(({ latencyMs }) => latencyMs);
  const refusals = outcomes.filter(({ status }) => status === REFUSED).map(({ latencyMs }) => latencyMs);
  const expired = outcomes.filter(({ status }) => status === TOO_LATE).length;
  const inTime = answered.filter((latencyMs) => latencyMs <= deadlineMs).length;
  return {
    load,
    offeredPerSecond: (outcomes.length * 1000) / durationMs,
    goodputPerSecond: (inTime * 1000) / durationMs,
    p50Ms: quantile(answered, 0.5),
    p99Ms: quantile(answered, 0.99),
    refused: refusals.length,
    refusalP99Ms: quantile(refusals, 0.99),
    late: answered.length - inTime + expired,
    failed: outcomes.length - answered.length - refusals.length - expired,
    generatorCpuShare: generatorCpuMs / durationMs,
  };
}
