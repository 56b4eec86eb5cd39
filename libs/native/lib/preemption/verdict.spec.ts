import type { IsolationTool } from '@app/contracts';
import type { CpuGroup } from '@app/system';
import { delaysOf, judge, structuralCause, type Delays } from './verdict';

const GOOD: Delays = { p50Ms: 0.02, p99Ms: 0.05 };
const LATE: Delays = { p50Ms: 0.02, p99Ms: 4 };
const BUSY: Delays = { p50Ms: 2, p99Ms: 9 };

describe('the verdict about preemption', () => {
  it.each<[string, Delays[], Delays | null, Parameters<typeof judge>[0]['cause'], string, string | null]>([
    ['a good attempt', [GOOD], null, null, 'holds', null],
    ['one good attempt of three', [BUSY, LATE, GOOD], null, null, 'holds', null],
    ['late wake-ups with a known cause', [LATE], null, 'autogroup', 'fails', 'autogroup'],
    ['late wake-ups with a known cause on a busy machine', [BUSY], BUSY, 'cpu-cgroup', 'fails', 'cpu-cgroup'],
    ['a known cause that makes nothing late', [GOOD], null, 'cpu-cgroup', 'holds', null],
    ['late wake-ups only beside the batch executor', [LATE, BUSY, LATE], GOOD, null, 'fails', 'unknown'],
    ['late wake-ups without the batch executor as well', [BUSY, LATE, BUSY], LATE, null, 'unclear', null],
  ])('of %s', (_name, attempts, alone, cause, verdict, expectedCause) => {
    const proof = judge({ cpu: 3, attempts, alone, cause });
    expect(proof).toMatchObject({
      verdict,
      cause: expectedCause,
      attempts: attempts.length,
      cpu: 3,
      p99Ms: Math.min(...attempts.map(({ p99Ms }) => p99Ms)),
    });
  });

  it('names the remedy', () => {
    expect(judge({ cpu: 1, attempts: [LATE], alone: null, cause: 'autogroup' }).reason).toMatch(
      /p99 4\.00 ms.*kernel\.sched_autogroup_enabled=0/,
    );
    expect(judge({ cpu: 1, attempts: [LATE], alone: null, cause: 'cpu-cgroup' }).reason).toContain('cpu.idle=1');
  });

  it('takes quantiles of ascending delays', () => {
    const delaysNs = Array.from({ length: 200 }, (_, i) => (i + 1) * 1e6);
    expect(delaysOf(delaysNs)).toEqual({ p50Ms: 100, p99Ms: 198 });
    expect(delaysOf([5e6])).toEqual({ p50Ms: 5, p99Ms: 5 });
  });
});

describe('the cause that can be read', () => {
  const idle: IsolationTool = { tool: 'scheduling-class', state: 'active', reason: null };
  const group = (autogroup: string | null, cgroup = '/'): CpuGroup => ({ autogroup, cgroup });

  it.each<[string, CpuGroup, CpuGroup, IsolationTool, ReturnType<typeof structuralCause>]>([
    ['none', group('/autogroup-1'), group('/autogroup-1'), idle, null],
    ['none without autogroups', group(null), group(null), idle, null],
    ['different autogroups', group('/autogroup-1'), group('/autogroup-2'), idle, 'autogroup'],
    ['different cgroups', group(null), group(null, '/batch'), idle, 'cpu-cgroup'],
    ['the class was refused', group(null), group(null), { ...idle, state: 'unavailable', reason: 'SCHED_IDLE: no' }, 'class-refused'],
  ])('is %s', (_name, live, batch, tool, cause) => {
    expect(structuralCause(live, batch, [tool])).toBe(cause);
  });
});
