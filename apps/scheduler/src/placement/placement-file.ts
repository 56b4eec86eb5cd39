import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import type { Placement } from '@app/contracts';

/** The placement as it was last written; null when there is none that can be read. */
export function readPlacement(path: string): Placement | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Placement;
  } catch {
    return null;
  }
}

/** Replaces the placement at `path` in one step: a reader sees the old one or the new one, never a part. */
export function writePlacement(path: string, placement: Placement): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, JSON.stringify(placement, null, 2));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
