import { spawnSync } from 'node:child_process';
import { openSync, readFileSync, ftruncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Another scheduler looks after this data directory. */
export class DataDirLockedError extends Error {
  override readonly name = 'DataDirLockedError';
}

/**
 * Makes this process the only scheduler of `dataDir` until it ends, however it ends. Throws a `DataDirLockedError`.
 *
 * Node has no flock(2); the lock belongs to the open file description, so `flock` of util-linux can take it on the
 * descriptor that we hand it, and it stays ours when `flock` has ended. Node opens files close-on-exec, so no child of
 * ours keeps it.
 */
export function lockDataDir(dataDir: string): void {
  const path = join(dataDir, 'scheduler.lock');
  const file = openSync(path, 'a+', 0o600);
  const { status, error } = spawnSync('flock', ['--nonblock', '3'], { stdio: ['ignore', 'ignore', 'inherit', file] });
  if (error !== undefined) throw new Error(`flock (package util-linux) could not be run: ${error.message}`);
  if (status !== 0) {
    const owner = readFileSync(path, 'utf8').trim();
    throw new DataDirLockedError(
      `${dataDir} is in use by another scheduler${owner ? ` (pid ${owner})` : ''}; stop it first or set DATA_DIR to another folder`,
    );
  }
  ftruncateSync(file, 0);
  writeSync(file, `${process.pid}\n`);
}
