import type { CpuShares, Lane } from '@app/contracts';
import { roundedShare } from '../rounded';
import type { CpuReading, CpuTimes } from './cpu-reading';

const WINDOW_MS = 60_000;

interface CpuState extends CpuTimes {
  live: number;
  batch: number;
}

/** How the last minute of each CPU divides, from readings of what it and the executors pinned to it did. */
export class CpuSharesWindow {
  private readings: { atMs: number; cpus: Map<number, CpuState> }[] = [];
  private readonly threads = new Map<string, number>();
  private readonly executorMs = new Map<string, number>();

  /** `nowMs` on any steady clock. Null says nothing of that time. */
  add(reading: CpuReading | null, nowMs: number): void {
    if (reading === null) return;
    this.count(reading, nowMs);
    const cpus = [...reading.cpus].map(([cpu, times]): [number, CpuState] => [
      cpu,
      { ...times, live: this.msOf(cpu, 'realtime'), batch: this.msOf(cpu, 'batch') },
    ]);
    this.readings = [...this.readings.filter(({ atMs }) => atMs >= nowMs - WINDOW_MS), { atMs: nowMs, cpus: new Map(cpus) }];
  }

  /** Null until there are two readings of that CPU. */
  of(cpu: number): CpuShares | null {
    const [before, after] = [this.readings[0]?.cpus.get(cpu), this.readings.at(-1)?.cpus.get(cpu)];
    if (before === undefined || after === undefined) return null;
    return sharesOf({
      totalMs: after.totalMs - before.totalMs,
      idleMs: after.idleMs - before.idleMs,
      live: after.live - before.live,
      batch: after.batch - before.batch,
    });
  }

  /** Adds what executors did since the reading before. One that is new, and did more than it could since, is older than that. */
  private count({ executors }: CpuReading, nowMs: number): void {
    const elapsedMs = nowMs - (this.readings.at(-1)?.atMs ?? nowMs);
    for (const { thread, cpu, lane, runMs } of executors) {
      const key = `${lane} ${cpu}`;
      const before = this.threads.get(thread) ?? (runMs > elapsedMs ? runMs : 0);
      this.executorMs.set(key, (this.executorMs.get(key) ?? 0) + Math.max(0, runMs - before));
      this.threads.set(thread, runMs);
    }
    const present = new Set(executors.map(({ thread }) => thread));
    for (const thread of this.threads.keys()) if (!present.has(thread)) this.threads.delete(thread);
  }

  private msOf(cpu: number, lane: Lane): number {
    return this.executorMs.get(`${lane} ${cpu}`) ?? 0;
  }
}

/** Executors' time is exact and that of CPUs is not: it goes first. */
function sharesOf({ totalMs, idleMs, live, batch }: CpuState): CpuShares | null {
  if (totalMs <= 0) return null;
  const scale = Math.min(1, totalMs / Math.max(1e-9, live + batch));
  const [liveShare, batchShare] = [roundedShare((live * scale) / totalMs), roundedShare((batch * scale) / totalMs)];
  const idle = roundedShare(Math.max(0, Math.min(idleMs / totalMs, 1 - liveShare - batchShare)));
  return { live: liveShare, batch: batchShare, system: roundedShare(Math.max(0, 1 - liveShare - batchShare - idle)), idle };
}
