import { createHash } from 'node:crypto';
import { readdirSync, statSync, type BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { ModelFileError } from './model-files';

/** More are no model but a folder that was named by mistake. */
const FILES_MAX = 10_000;
/** Of folders below that of a model. */
export const DEPTH_MAX = 8;

/**
 * Tells one set of files from another without reading them: names, sizes, times of change, inodes. Two sets with one
 * fingerprint are the same files, unchanged. Links are followed. A file that is written to while it is served changes the
 * fingerprint as well.
 */
export class Fingerprint {
  private readonly hash = createHash('sha256');

  /** A value that counts besides the files. */
  add(value: string): this {
    this.hash.update(`${value.length}\n${value}\n`);
    return this;
  }

  /** Every file below `folder` that `isCounted` does not refuse, by its path below it. */
  addFolder(folder: string, isCounted: IsCounted = ALL): this {
    for (const { path, stats } of filesBelow(folder, isCounted)) {
      const { dev, ino, size, mtimeNs, ctimeNs } = stats;
      this.add([path, dev, ino, size, mtimeNs, ctimeNs].join('\n'));
    }
    return this;
  }

  digest(): string {
    return this.hash.digest('hex').slice(0, 32);
  }
}

export type IsCounted = (path: string) => boolean;
const ALL: IsCounted = () => true;

/** The files below a folder, in order, with their paths below it; hidden ones are left out. Throws a `ModelFileError` for too many. */
export function filesBelow(folder: string, isCounted: IsCounted = ALL): { path: string; stats: BigIntStats }[] {
  const files: { path: string; stats: BigIntStats }[] = [];
  const walk = (below: string, depth: number): void => {
    for (const name of namesIn(join(folder, below))) {
      const path = join(below, name);
      if (name.startsWith('.') || !isCounted(path)) continue;
      const stats = statSync(join(folder, path), { bigint: true, throwIfNoEntry: false });
      if (stats?.isFile()) files.push({ path, stats });
      else if (stats?.isDirectory() && depth < DEPTH_MAX) walk(path, depth + 1);
      if (files.length > FILES_MAX) throw new ModelFileError(`expected at most ${FILES_MAX} files in the folder of a model`);
    }
  };
  walk('', 0);
  return files;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) return []; // gone meanwhile, or not ours to read: its reader says so
    throw error;
  }
}
