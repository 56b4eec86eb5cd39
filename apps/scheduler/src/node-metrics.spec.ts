import { tmpdir } from 'node:os';
import { loadConfig } from '@app/config';
import type { PartitionPlan } from '@app/contracts';
import { readTopology } from '@app/system';
import { Registry } from 'prom-client';
import { registerNode } from './node-metrics';

async function valuesOf(registry: Registry, name: string): Promise<number[]> {
  return ((await registry.getSingleMetric(name)?.get())?.values ?? []).map(({ value }) => value);
}

describe('metrics of the machine', () => {
  const config = loadConfig({ DATA_DIR: tmpdir() });
  const cpus = readTopology().effective;

  it('tells the time of the planned CPUs, each once, and never goes back', async () => {
    const registry = new Registry();
    // Two partitions may overlap in a plan that changes.
    registerNode(registry, config, { partitions: [{ cpus }, { cpus }] as PartitionPlan[] });
    const one = new Registry();
    registerNode(one, config, { partitions: [{ cpus }] as PartitionPlan[] });
    expect(await valuesOf(registry, 'interleave_cpus')).toEqual([cpus.length]);
    const [first, both, later] = [
      await valuesOf(registry, 'interleave_cpu_seconds_total'),
      await valuesOf(one, 'interleave_cpu_seconds_total'),
      await valuesOf(registry, 'interleave_cpu_seconds_total'),
    ];
    for (const [index, value] of first.entries()) {
      expect(value).toBeGreaterThan(0);
      expect(both[index]).toBeGreaterThanOrEqual(value);
      expect(both[index]).toBeLessThanOrEqual(later[index] ?? 0);
    }
  });

  it('tells how much of the disk is free, and how much is kept free', async () => {
    const registry = new Registry();
    registerNode(registry, config, { partitions: [] });
    await registry.getMetricsAsJSON();
    const [free = 0] = await valuesOf(registry, 'interleave_disk_free_bytes');
    const [size = 0] = await valuesOf(registry, 'interleave_disk_size_bytes');
    expect(free).toBeGreaterThan(0);
    expect(size).toBeGreaterThanOrEqual(free);
    expect(await valuesOf(registry, 'interleave_disk_kept_free_bytes')).toEqual([config.batch.diskFreeBytesMin]);
  });
});
