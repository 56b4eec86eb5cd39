import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { threadsOf, type BenchNode } from './bench-node';

/** Counters since boot or since a thread's start, in seconds. */
export interface CpuCounters {
  /** Time of the node's CPUs together. */
  wallSeconds: number;
  /** With the time of threads that keep CPUs awake. */
  idleSeconds: number;
  /** Taken by other virtual machines. */
  stealSeconds: number;
  live: LaneCounters;
  batch: LaneCounters;
}

interface LaneCounters {
  /** CPU time of its worker processes: executors, channels and what looks after them. */
  cpuSeconds: number;
  /** Time in which its executors were runnable but not running. */
  waitSeconds: number;
  /** Times that one was put on a CPU. */
  slices: number;
}

/** The kernel's USER_HZ, which is 100 wherever Linux runs. */
const TICKS_PER_SECOND = 100;
const NS_PER_SECOND = 1e9;

export function readCpu(node: BenchNode): CpuCounters {
  const lines = readFileSync('/proc/stat', 'utf8').split('\n');
  const sums = { wallSeconds: 0, idleSeconds: 0, stealSeconds: 0 };
  for (const cpu of node.cpus) {
    const [, ...ticks] = lines.find((line) => line.startsWith(`cpu${cpu} `))?.split(' ') ?? [];
    const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = ticks.map(Number);
    sums.idleSeconds += (idle + iowait) / TICKS_PER_SECOND;
    sums.stealSeconds += steal / TICKS_PER_SECOND;
    sums.wallSeconds += (user + nice + system + idle + iowait + irq + softirq + steal) / TICKS_PER_SECOND;
  }
  const [live, batch] = [node.workerPids('realtime'), node.workerPids('batch')].map(readLane) as [LaneReading, LaneReading];
  const idleSeconds = sums.idleSeconds + live.awakeSeconds + batch.awakeSeconds;
  return { ...sums, idleSeconds, live: live.counters, batch: batch.counters };
}

interface LaneReading {
  counters: LaneCounters;
  awakeSeconds: number;
}

/** Documentation/scheduler/sched-stats.rst: ns on a CPU, ns waiting for one, slices. */
function readLane(pids: number[]): LaneReading {
  const sum = { cpuSeconds: 0, waitSeconds: 0, slices: 0 };
  let awakeSeconds = 0;
  for (const { directory, isExecutor, keepsAwake } of pids.flatMap(threadsOf)) {
    const [cpuNs = 0, waitNs = 0, slices = 0] = readFileSync(join(directory, 'schedstat'), 'utf8').split(' ').map(Number);
    if (keepsAwake) {
      awakeSeconds += cpuNs / NS_PER_SECOND;
      continue;
    }
    sum.cpuSeconds += cpuNs / NS_PER_SECOND;
    if (!isExecutor) continue;
    sum.waitSeconds += waitNs / NS_PER_SECOND;
    sum.slices += slices;
  }
  return { counters: sum, awakeSeconds };
}

export function minus(after: CpuCounters, before: CpuCounters): CpuCounters {
  const threads = (lane: 'live' | 'batch') => ({
    cpuSeconds: after[lane].cpuSeconds - before[lane].cpuSeconds,
    waitSeconds: after[lane].waitSeconds - before[lane].waitSeconds,
    slices: after[lane].slices - before[lane].slices,
  });
  return {
    wallSeconds: after.wallSeconds - before.wallSeconds,
    idleSeconds: after.idleSeconds - before.idleSeconds,
    stealSeconds: after.stealSeconds - before.stealSeconds,
    live: threads('live'),
    batch: threads('batch'),
  };
}
