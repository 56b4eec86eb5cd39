export type Verdict = 'ok' | 'degraded' | 'broken';

/** One line of `interleave doctor`. */
export interface Finding {
  subject: string;
  verdict: Verdict;
  /** What was found. */
  detail: string;
  /** What to do; null when there is nothing to do. */
  remedy: string | null;
}

export const ok = (subject: string, detail: string): Finding => ({ subject, verdict: 'ok', detail, remedy: null });
export const degraded = (subject: string, detail: string, remedy: string): Finding => ({ subject, verdict: 'degraded', detail, remedy });
export const broken = (subject: string, detail: string, remedy: string): Finding => ({ subject, verdict: 'broken', detail, remedy });

const BY_SEVERITY: readonly Verdict[] = ['broken', 'degraded', 'ok'];

export const worstOf = (findings: readonly Finding[]): Verdict =>
  BY_SEVERITY.find((verdict) => findings.some((finding) => finding.verdict === verdict)) ?? 'ok';
