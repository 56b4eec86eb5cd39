import type { IsolationTool, PreemptionCause, PreemptionProof } from '@app/contracts';
import type { CpuGroup } from '@app/system';

/** Where preemption works p99 was 0.05 ms, where it does not 4 ms (Linux 6.18, 200 wake-ups). */
export const P99_MS_MAX = 2;
/** Wake-ups that are this late without the batch executor say nothing about it. */
export const ALONE_P99_MS_MAX = 1;

export interface Delays {
  p50Ms: number;
  p99Ms: number;
}

export interface PreemptionEvidence {
  cpu: number;
  /** One for each attempt beside the batch executor; at least one. */
  attempts: Delays[];
  /** Without it; null when there was no need to look. */
  alone: Delays | null;
  cause: PreemptionCause | null;
}

/** Why batch executors would not give way, from what can be read; null when nothing speaks against it. */
export function structuralCause(live: CpuGroup | null, batch: CpuGroup | null, batchTools: IsolationTool[]): PreemptionCause | null {
  if (live?.autogroup !== batch?.autogroup) return 'autogroup';
  if (live?.cgroup !== batch?.cgroup) return 'cpu-cgroup';
  if (batchTools.some(({ tool, state }) => tool === 'scheduling-class' && state !== 'active')) return 'class-refused';
  return null;
}

/** `delaysNs` ascends and is not empty. */
export function delaysOf(delaysNs: number[]): Delays {
  const quantileMs = (q: number): number => (delaysNs[Math.ceil(delaysNs.length * q) - 1] ?? 0) / 1e6;
  return { p50Ms: quantileMs(0.5), p99Ms: quantileMs(0.99) };
}

/** The best attempt counts: noise of other programs only ever makes wake-ups later. */
export function judge({ cpu, attempts, alone, cause }: PreemptionEvidence): PreemptionProof {
  const best = attempts.reduce((a, b) => (b.p99Ms < a.p99Ms ? b : a));
  const measured = { cpu, attempts: attempts.length, ...best, aloneP99Ms: alone?.p99Ms ?? null };
  const late = `with a batch executor on CPU ${cpu} a live one wakes up late (p50 ${ms(best.p50Ms)}, p99 ${ms(best.p99Ms)}, expected at most ${ms(P99_MS_MAX)})`;
  if (best.p99Ms <= P99_MS_MAX) {
    return {
      verdict: 'holds',
      cause: null,
      reason: `live executors preempt batch executors: wake-up p99 ${ms(best.p99Ms)} on CPU ${cpu}`,
      ...measured,
    };
  }
  if (cause === null && alone !== null && alone.p99Ms > ALONE_P99_MS_MAX) {
    return {
      verdict: 'unclear',
      cause: null,
      reason: `${late}, but without it as well (p99 ${ms(alone.p99Ms)}): other programs use the CPU`,
      ...measured,
    };
  }
  const known = cause ?? 'unknown';
  return { verdict: 'fails', cause: known, reason: `${late}: ${WHY[known]}`, ...measured };
}

export function notMeasured(cpu: number, error: Error): PreemptionProof {
  const reason = `whether batch executors give way to live ones could not be measured: ${error.message}`;
  return { verdict: 'unclear', cause: null, reason, cpu, attempts: 0, p50Ms: null, p99Ms: null, aloneP99Ms: null };
}

const WHY: Record<PreemptionCause, string> = {
  autogroup:
    'the kernel groups processes by session, and the two are in different ones; set kernel.sched_autogroup_enabled=0, or start all workers in one session',
  'cpu-cgroup': 'the two are in different CPU cgroups; put them into one, or set cpu.idle=1 on the group of the batch workers',
  'class-refused': 'SCHED_IDLE is refused; allow sched_setscheduler in the sandbox or seccomp profile',
  unknown: 'the reason is not known; a kernel without preemption or a hypervisor that takes the CPU away can be one',
};

const ms = (value: number): string => `${value.toFixed(2)} ms`;
