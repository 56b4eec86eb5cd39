import type { CpuShares } from '@app/contracts';
import { roundedShare } from '../rounded';
import type { CpuReading, CpuTimes, CpuWork } from './cpu-reading';

const WINDOW_MS = 60_000;

interface CpuState extends CpuTimes {
  live: number;
  batch: number;
  awake: number;
}

/** How the last minute of each CPU divides, from readings of what it and the threads pinned to it did. */
export class CpuSharesWindow {
  private readings: { atMs: number; cpus: Map<number, CpuState> }[] = [];
  private readonly threads = new Map<string, number>();
  private readonly workMs = new Map<string, number>();

  /** `nowMs` on any steady clock. Null says nothing of that time. */
  add(reading: CpuReading | null, nowMs: number): void {
    if (reading === null) return;
    this.count(reading, nowMs);
    const cpus = [...reading.cpus].map(([cpu, times]): [number, CpuState] => [
      cpu,
      { ...times, live: this.msOf(cpu, 'realtime'), batch: this.msOf(cpu, 'batch'), awake: this.msOf(cpu, 'awake') },
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
      awake: after.awake - before.awake,
    });
  }

  /** Adds what threads did since the reading before. One that is new, and did more than it could since, is older than that. */
  private count({ threads }: CpuReading, nowMs: number): void {
    const elapsedMs = nowMs - (this.readings.at(-1)?.atMs ?? nowMs);
    for (const { thread, cpu, work, runMs } of threads) {
      const key = `${work} ${cpu}`;
      const before = this.threads.get(thread) ?? (runMs > elapsedMs ? runMs : 0);
      this.workMs.set(key, (this.workMs.get(key) ?? 0) + Math.max(0, runMs - before));
      this.threads.set(thread, runMs);
    }
    const present = new Set(threads.map(({ thread }) => thread));
    for (const thread of this.threads.keys()) if (!present.has(thread)) this.threads.delete(thread);
  }

  private msOf(cpu: number, work: CpuWork): number {
    return this.workMs.get(`${work} ${cpu}`) ?? 0;
  }
}

/** Executors' time is exact and that of CPUs is not: it goes first. A CPU that is kept awake is idle. */
function sharesOf({ totalMs, idleMs, live, batch, awake }: CpuState): CpuShares | null {
  if (totalMs <= 0) return null;
  const scale = Math.min(1, totalMs / Math.max(1e-9, live + batch));
  const [liveShare, batchShare] = [roundedShare((live * scale) / totalMs), roundedShare((batch * scale) / totalMs)];
  const idle = roundedShare(Math.max(0, Math.min((idleMs + awake) / totalMs, 1 - liveShare - batchShare)));
  return { live: liveShare, batch: batchShare, system: roundedShare(Math.max(0, 1 - liveShare - batchShare - idle)), idle };
}
