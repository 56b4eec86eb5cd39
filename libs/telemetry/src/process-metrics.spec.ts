import { Registry } from 'prom-client';
import { observeProcess } from './process-metrics';

it('counts the CPU time of a process without that of threads that keep CPUs awake', async () => {
  const secondsWithout = async (awakeSeconds: () => number): Promise<number | undefined> => {
    const registry = new Registry();
    observeProcess(registry, 'p', awakeSeconds);
    const metric = await registry.getSingleMetric('interleave_process_cpu_seconds_total')?.get();
    return metric?.values[0]?.value;
  };
  const { user, system } = process.cpuUsage();
  const all = (user + system) / 1e6;
  expect(await secondsWithout(() => 0)).toBeGreaterThanOrEqual(all);
  expect(await secondsWithout(() => all)).toBeLessThan(all);
  expect(await secondsWithout(() => 1e9)).toBe(0);
});
