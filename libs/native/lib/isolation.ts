import type { IsolationTool, WorkerPlan } from '@app/contracts';
import { readTopology, type Topology } from '@app/system';
import { loadAddon } from './addon';

/**
 * Gives the calling thread a short scheduling slice, so that it need not wait out the longer one of whoever has the CPU
 * (live executors have a short one as well). For the event loop of a process that live callers wait for.
 */
export function isolateFront(): IsolationTool {
  return loadAddon().isolateFront();
}

/**
 * Isolates this process as the worker of a plan: CPUs of all its threads, NUMA nodes, memory limit, out-of-memory score and
 * cpu.idle; call before `startWorker`. `livePids`: running workers of the real-time lane.
 */
export function isolateProcess({ id, lane, cpus, processCpus, memoryBytes }: WorkerPlan, livePids: number[]): IsolationTool[] {
  return loadAddon().isolateProcess({
    workerId: id,
    lane,
    cpus: processCpus,
    numaNodes: numaNodesOf(processCpus, readTopology()),
    memoryBytes: memoryBytes ?? 0,
    executors: cpus.length,
    livePids,
  });
}

/** Has the disk work of this process wait for that of others, where the disk's scheduler knows classes. */
export function isolateDiskWork(): IsolationTool {
  return loadAddon().isolateDiskWork();
}

/** Empty where all CPUs of the machine are on one node. */
function numaNodesOf(cpus: number[], { places }: Topology): number[] {
  if (new Set(places.map(({ nodeId }) => nodeId)).size === 1) return [];
  return [...new Set(places.filter(({ cpu }) => cpus.includes(cpu)).map(({ nodeId }) => nodeId))];
}
