import { readFileSync, renameSync, writeFileSync } from 'node:fs';

/** How often a process has crashed, by a file that outlives it and the scheduler; 0 when there is none. */
export function readCrashCount(path: string): number {
  try {
    const count = Number(readFileSync(path, 'utf8'));
    return Number.isSafeInteger(count) ? count : 0;
  } catch {
    return 0;
  }
}

/** Throws when the file cannot be written. */
export function addCrash(path: string): void {
  const count = readCrashCount(path) + 1;
  writeFileSync(`${path}.tmp`, String(count));
  renameSync(`${path}.tmp`, path);
}
