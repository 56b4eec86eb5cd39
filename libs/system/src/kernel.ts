import { readFileSync } from 'node:fs';

/**
 * Whether the kernel groups processes by session (`kernel.sched_autogroup_enabled`). Then priorities hold only within one
 * session, so both lanes' workers must share theirs.
 */
export function autogroupEnabled(): boolean {
  try {
    return readFileSync('/proc/sys/kernel/sched_autogroup_enabled', 'utf8').trim() === '1';
  } catch {
    return false; // a kernel without autogroups has no such file
  }
}
