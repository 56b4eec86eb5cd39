import { statfs } from 'node:fs/promises';
import type { Config } from '@app/config';
import type { NodeView } from '@app/contracts';

type Space = NonNullable<NodeView['node']['disk']>;
type Measure = (path: string) => Promise<{ bavail: number; blocks: number; bsize: number }>;

/** Room where the node writes: the data directory, and where the files of batches are if that is another directory. */
export class DiskSpace {
  private readonly directories: { path: string; hasBatchFiles: boolean }[];
  /** Those that hang, as on a server that is away: another look would take one more thread of few. */
  private readonly pending = new Map<string, Promise<Space | null>>();

  constructor(
    { dataDir, storage }: Pick<Config, 'dataDir' | 'storage'>,
    private readonly measure: Measure = statfs,
  ) {
    const files = storage.kind === 'directory' ? storage.path : null;
    this.directories = [{ path: dataDir, hasBatchFiles: files === dataDir }];
    if (files !== null && files !== dataDir) this.directories.push({ path: files, hasBatchFiles: true });
  }

  /** Of the one with the least free share; null: none answers within `timeoutMs`. */
  async worst(timeoutMs: number): Promise<Space | null> {
    const spaces = await Promise.all(this.directories.map((each) => within(timeoutMs, this.spaceOf(each))));
    const known = spaces.filter((space) => space !== null);
    // Two directories on one file system have equal shares: then there are files of batches to delete.
    return known.sort((a, b) => freeShare(a) - freeShare(b) || Number(b.hasBatchFiles) - Number(a.hasBatchFiles))[0] ?? null;
  }

  private spaceOf({ path, hasBatchFiles }: { path: string; hasBatchFiles: boolean }): Promise<Space | null> {
    const begun = this.pending.get(path);
    if (begun !== undefined) return begun;
    const space = this.measure(path)
      .then(
        ({ bavail, blocks, bsize }) => ({ freeBytes: bavail * bsize, sizeBytes: blocks * bsize, hasBatchFiles }),
        () => null,
      )
      .finally(() => this.pending.delete(path));
    this.pending.set(path, space);
    return space;
  }
}

const freeShare = ({ freeBytes, sizeBytes }: Space): number => freeBytes / Math.max(1, sizeBytes);

async function within<T>(timeoutMs: number, answer: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, timeoutMs, null)));
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
