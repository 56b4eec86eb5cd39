import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import type { Placement } from '@app/contracts';

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
