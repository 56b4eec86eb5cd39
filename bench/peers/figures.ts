import type { Outcome } from '../online/open-loop';
import { quantile } from '../support/statistics';

/** What callers saw of one load. */
export interface LoadFigures {
  requests: number;
  answeredPerSecond: number;
  /** Answers within the deadline. */
  inTimePerSecond: number;
  /** Of all requests. */
  inTimeShare: number;
  /** Refused, failed or given up, of all requests. */
  failedShare: number;
  /** Of answers. */
  p50Ms: number;
  p99Ms: number;
}

const OK = 200;

export function figuresOf(outcomes: Outcome[], { durationMs, deadlineMs }: { durationMs: number; deadlineMs: number }): LoadFigures {
  const answers = outcomes.filter(({ status }) => status === OK).map(({ latencyMs }) => latencyMs);
  const inTime = answers.filter((latencyMs) => latencyMs <= deadlineMs).length;
  return {
    requests: outcomes.length,
    answeredPerSecond: (answers.length * 1000) / durationMs,
    inTimePerSecond: (inTime * 1000) / durationMs,
    inTimeShare: inTime / outcomes.length,
    failedShare: 1 - answers.length / outcomes.length,
    p50Ms: quantile(answers, 0.5),
    p99Ms: quantile(answers, 0.99),
  };
}

/** A live load beside an offline job on the same server. */
export interface MixedFigures {
  job: string;
  live: LoadFigures;
  jobRowsPerSecond: number;
}

/** Of one peer; parts that were not measured are absent. */
export interface PeerFigures {
  firstAnswerMs?: number;
  /** MiB after all other parts. */
  memoryMiB?: number;
  idle?: LoadFigures;
  many?: LoadFigures;
  /** By the offered load, as a multiple of what `many` answered. */
  open?: Record<string, LoadFigures>;
  mixed?: { livePerSecond: number; alone: LoadFigures; jobs: MixedFigures[] };
}
