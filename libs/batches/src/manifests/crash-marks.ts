import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isMissing, orNullIfMissing } from '../storage/durable';
import { isBatchId } from './ids';

const SUFFIX = '.json';

export interface CrashMark {
  /** Runners that crashed while this batch was in work and got no further. */
  deaths: number;
  /** How many runners had crashed when it came into work; null: it has not, since the runner was started. */
  inWorkAt: number | null;
}

/** What the runner of one node knows of crashes while a batch was in work: files of that node, not of the store. */
export class CrashMarks {
  private readonly directory: string;

  constructor(dataDir: string) {
    this.directory = join(dataDir, 'crashes');
  }

  /** Batches with a mark. */
  async list(): Promise<string[]> {
    const names = (await orNullIfMissing(readdir(this.directory))) ?? [];
    return names.map((name) => basename(name, SUFFIX)).filter(isBatchId);
  }

  /** Null when there is none, or none that can be read. */
  async read(batchId: string): Promise<CrashMark | null> {
    const text = await orNullIfMissing(readFile(this.path(batchId), 'utf8'));
    try {
      return text === null ? null : (JSON.parse(text) as CrashMark);
    } catch {
      return null;
    }
  }

  /** Survives the end of this process, not that of the machine. */
  async write(batchId: string, mark: CrashMark): Promise<void> {
    const save = () => writeFile(this.path(batchId), JSON.stringify(mark), { mode: 0o600 });
    try {
      await save();
    } catch (error) {
      if (!isMissing(error)) throw error;
      await mkdir(this.directory, { recursive: true, mode: 0o700 });
      await save();
    }
  }

  async remove(batchId: string): Promise<void> {
    await rm(this.path(batchId), { force: true });
  }

  private path(batchId: string): string {
    return join(this.directory, `${batchId}${SUFFIX}`);
  }
}
