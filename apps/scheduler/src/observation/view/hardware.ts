import type { CpuView, ExecutorStatus, GpuView, IsolationView, NodeView, ProcessView, WorkerView } from '@app/contracts';
import type { CpuPlace } from '@app/system';
import type { CpuSharesWindow } from '../cpu/cpu-shares';
import { rounded, roundedShare } from '../rounded';
import type { CounterWindow } from '../sample/counter-window';
import type { Sample } from '../sample/sample';

export const CPUS_MAX = 1_024;

export function cpuViews({ scheduler: { placement } }: Sample, places: readonly CpuPlace[], shares: CpuSharesWindow): CpuView[] {
  return places.slice(0, CPUS_MAX).map(({ cpu, siblings, packageId, nodeId }) => {
    const partition = placement.partitions.find(({ cpus }) => cpus.includes(cpu));
    return {
      cpu,
      socket: packageId,
      numaNode: nodeId,
      core: siblings[0] ?? cpu,
      thread: Math.max(0, siblings.indexOf(cpu)),
      partition: partition?.id ?? null,
      class: partition?.class ?? null,
      shares: shares.of(cpu),
      workers: placement.workers.filter(({ cpus }) => cpus.includes(cpu)).map(({ id }) => id),
    };
  });
}

/** A worker on a GPU has one executor, which is in the runtime while the device works for it. */
export function gpuViews({ scheduler: { placement } }: Sample, minute: CounterWindow): GpuView[] {
  const gpus = new Map<string, GpuView>();
  for (const { id: worker, lane, gpu } of placement.workers) {
    if (gpu === null) continue;
    const { uuid, name, sharing, memoryBytes, threadPercent } = gpu;
    const busy = minute.perSecond('interleave_run_seconds_total', { worker });
    const part = { worker, lane, sharing, memoryBytes, threadPercent, busyShare: busy === null ? null : roundedShare(Math.min(1, busy)) };
    gpus.set(uuid, { uuid, name, parts: [...(gpus.get(uuid)?.parts ?? []), part] });
  }
  return [...gpus.values()];
}

/** Those that answer. */
export function isolationViews({ scheduler, workers, runner }: Sample): IsolationView[] {
  const ofWorkers = scheduler.placement.workers.flatMap(({ id, lane }): IsolationView[] => {
    const status = workers.get(id) ?? null;
    return status === null ? [] : [{ process: id, lane, tools: status.isolation, executors: groups(status.executors) }];
  });
  return [...ofWorkers, ...(runner === null ? [] : [{ process: 'runner', lane: null, tools: runner.isolation ?? [], executors: [] }])];
}

function groups(executors: readonly ExecutorStatus[]): IsolationView['executors'] {
  const byTools = new Map<string, IsolationView['executors'][number]>();
  for (const { cpu, isolation } of executors) {
    const key = JSON.stringify(isolation);
    const group = byTools.get(key);
    if (group === undefined) byTools.set(key, { cpus: [cpu], tools: isolation });
    else group.cpus.push(cpu);
  }
  return [...byTools.values()];
}

export function workerViews({ scheduler, workers, silentWorkers }: Sample): WorkerView[] {
  return scheduler.placement.workers.map(({ id, lane, partitionId, cpus }) => {
    const status = workers.get(id) ?? null;
    const supervised = scheduler.processes.find((process) => process.id === id);
    return {
      id,
      lane,
      partition: partitionId,
      cpus,
      pid: status?.pid ?? supervised?.pid ?? null,
      state: status?.state ?? (silentWorkers.has(id) ? 'silent' : (supervised?.state ?? 'stopped')),
      restarts: supervised?.restarts ?? 0,
      reason: supervised?.reason ?? null,
      queueItems: status?.queue.reduce((sum, { waitingItems }) => sum + waitingItems, 0) ?? null,
      queueAgeSeconds: status === null ? null : rounded(Math.max(0, ...status.queue.map(({ oldestAgeSeconds }) => oldestAgeSeconds))),
      memory: status === null ? null : { residentBytes: status.memory.resident, limitBytes: status.memory.limit },
    };
  });
}

/** The scheduler first. Whichever API process answers callers has the memory of `api`. */
export function processViews(sample: Sample): NodeView['processes'] {
  const { scheduler, metrics, api } = sample;
  const residentOf = (process: string): number | null => metrics.max('interleave_resident_bytes', { process });
  const others = scheduler.processes
    .filter(({ id }) => !scheduler.placement.workers.some((worker) => worker.id === id))
    .map((status): ProcessView => ({ ...status, residentBytes: residentOf(status.id === api?.id ? 'api' : status.id) }));
  const own: ProcessView = {
    id: 'scheduler',
    pid: process.pid,
    state: 'ready',
    restarts: 0,
    reason: null,
    residentBytes: process.memoryUsage.rss(),
  };
  return [own, ...others];
}
