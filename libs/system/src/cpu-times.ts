import { readFileSync } from 'node:fs';

/** Since the machine began, in seconds. Idle is also what waits for a disk. */
export interface CpuTimes {
  busySeconds: number;
  idleSeconds: number;
}

/** `USER_HZ`, which Linux has fixed for what it tells programs. */
const TICKS_PER_SECOND = 100;

/** What every online CPU did, whoever used it; of a container, that of its machine. Throws when /proc is not mounted. */
export function readCpuTimes(): Map<number, CpuTimes> {
  return cpuTimesOf(readFileSync('/proc/stat', 'utf8'));
}

/** Of the text of `/proc/stat`. Time of guests is in `user` and `nice` already. */
export function cpuTimesOf(text: string): Map<number, CpuTimes> {
  const times = new Map<number, CpuTimes>();
  for (const [, cpu, rest = ''] of text.matchAll(/^cpu(\d+) (.*)$/gm)) {
    const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = rest.trim().split(/\s+/).map(Number);
    times.set(Number(cpu), {
      busySeconds: (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND,
      idleSeconds: (idle + iowait) / TICKS_PER_SECOND,
    });
  }
  return times;
}
