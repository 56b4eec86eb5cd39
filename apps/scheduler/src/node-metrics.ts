import { statfs } from 'node:fs/promises';
import type { Config } from '@app/config';
import type { Placement } from '@app/contracts';
import { readCpuTimes } from '@app/system';
import { Counter, Gauge, type Registry } from 'prom-client';

/** What the machine has for this node: the CPUs of its plan, and the disk of its data. Read at every scrape. */
export function registerNode(
  registry: Registry,
  { dataDir, batch }: Pick<Config, 'dataDir' | 'batch'>,
  placement: Pick<Placement, 'partitions'>,
): void {
  const registers = [registry];
  registerCpus(registry, [...new Set(placement.partitions.flatMap(({ cpus }) => cpus))]);
  const size = new Gauge({ name: 'interleave_disk_size_bytes', help: 'Size of the file system of the data directory', registers });
  new Gauge({
    name: 'interleave_disk_free_bytes',
    help: 'Free space of the file system of the data directory, for the user of the node',
    registers,
    async collect() {
      const { bavail, blocks, bsize } = await statfs(dataDir);
      this.set(bavail * bsize);
      size.set(blocks * bsize);
    },
  });
  new Gauge({
    name: 'interleave_disk_kept_free_bytes',
    help: 'Below this much free space no upload is taken and batches pause (batch.diskFreeBytesMin)',
    registers,
  }).set(batch.diskFreeBytesMin);
}

function registerCpus(registry: Registry, cpus: readonly number[]): void {
  const registers = [registry];
  new Gauge({ name: 'interleave_cpus', help: 'CPUs that the node plans with', registers }).set(cpus.length);
  new Counter({
    name: 'interleave_cpu_seconds_total',
    help: 'Time of the CPUs of the node, whoever used them: busy or idle',
    labelNames: ['state'],
    registers,
    collect() {
      const times = readCpuTimes();
      this.reset();
      for (const cpu of cpus) {
        this.inc({ state: 'busy' }, times.get(cpu)?.busySeconds ?? 0);
        this.inc({ state: 'idle' }, times.get(cpu)?.idleSeconds ?? 0);
      }
    },
  });
}
