import { cpuTimesOf, readCpuTimes } from './cpu-times';

describe('times of the CPUs', () => {
  it('counts guests once, stolen time as busy and waiting for a disk as idle', () => {
    const text = [
      'cpu  900 0 0 0 0 0 0 0 0 0',
      'cpu0 100 20 30 400 50 6 7 8 90 10',
      'cpu12 1 0 0 2 0 0 0 0 0 0',
      'intr 1 2 3',
      'cpufreq 1 2',
    ].join('\n');
    expect([...cpuTimesOf(text)]).toEqual([
      [0, { busySeconds: 1.71, idleSeconds: 4.5 }],
      [12, { busySeconds: 0.01, idleSeconds: 0.02 }],
    ]);
  });

  it('reads those of this machine', () => {
    const times = [...readCpuTimes().values()];
    expect(times.length).toBeGreaterThan(0);
    for (const { busySeconds, idleSeconds } of times) expect(busySeconds + idleSeconds).toBeGreaterThan(0);
  });
});
