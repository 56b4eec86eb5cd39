export const PREEMPTION_VERDICTS = ['holds', 'fails', 'unclear'] as const;
/**
 * `holds`: batch executors give way to live ones on the same CPU. `fails`: they do not. `unclear`: something else than the
 * batch lane makes wake-ups late here, or nothing could be measured.
 */
export type PreemptionVerdict = (typeof PREEMPTION_VERDICTS)[number];

/** Why it fails: session autogroups, different CPU cgroups, or SCHED_IDLE refused. */
export type PreemptionCause = 'autogroup' | 'cpu-cgroup' | 'class-refused' | 'unknown';

/** Result of the wake-up self-test: how late a live executor ran beside a batch executor that used all of its CPU. */
export interface PreemptionProof {
  verdict: PreemptionVerdict;
  /** Null unless it fails. */
  cause: PreemptionCause | null;
  /** One sentence for people, with the remedy where there is one. */
  reason: string;
  cpu: number;
  attempts: number;
  /** Quantiles of the best attempt; null when nothing was measured. */
  p50Ms: number | null;
  p99Ms: number | null;
  /** The same without the batch executor; null when there was no need to look. */
  aloneP99Ms: number | null;
}
