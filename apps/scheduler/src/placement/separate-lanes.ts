import type { Topology } from '@app/system';
import { coresOf, type Partition } from './partition';

/**
 * The strict arrangement, for where the kernel does not let live executors preempt batch executors: in every partition with
 * both lanes the batch lane has half of the CPUs, rounded down, and the real-time lane has the others, whole cores as
 * far as that goes. A partition of one CPU stays as it is.
 */
export function separateLanes(partitions: readonly Partition[], { places }: Topology): void {
  const byCore = coresOf(places).flat();
  for (const { cpus, executorCpus } of partitions.filter((partition) => lanesShareCpus(partition) && partition.cpus.length > 1)) {
    const batch = byCore.filter((cpu) => executorCpus.batch.includes(cpu)).slice(-Math.floor(cpus.length / 2));
    executorCpus.batch = batch.sort((a, b) => a - b);
    executorCpus.realtime = cpus.filter((cpu) => !batch.includes(cpu));
  }
}

/** Whether a CPU has executors of both lanes. */
export function lanesShareCpus({ lanes, executorCpus }: Partition): boolean {
  return lanes.length === 2 && executorCpus.batch.some((cpu) => executorCpus.realtime.includes(cpu));
}
