import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A data directory of a test; call `remove` after it. */
export function makeDataDir(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'il-queues-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
