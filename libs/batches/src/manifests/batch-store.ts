import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { DEFAULT_TENANT, InterleaveError } from '@app/contracts';
import { listIds, readPage, type Page, type PageRequest } from '../storage/directory-page';
import { orNullIfMissing, syncDirectory, writeFileDurably } from '../storage/durable';
import { explainWriteError } from '../storage/disk-guard';
import { readStored } from '../storage/stored-json';
import { isBatchId } from './ids';
import { toBatchView, type BatchView, type Manifest } from './manifest';
import type { Sees } from '../storage/owner';
import { storagePaths, type StoragePaths } from '../storage/storage-paths';

export interface CrashMark {
  /** Runners that crashed while this batch was in work and got no further. */
  deaths: number;
  /** How many runners had crashed when it came into work; null: it has not, since the runner was started. */
  inWorkAt: number | null;
}

/** Manifests and cancel markers on disk. Stateless: any number of processes may have one over the same directory. */
export class BatchStore {
  private readonly paths: StoragePaths;

  constructor(dataDir: string) {
    this.paths = storagePaths(dataDir);
  }

  /** Accepts a batch: when this resolves, it survives a power cut. */
  async create(manifest: Manifest): Promise<void> {
    const paths = this.paths.batch(manifest.batch.id);
    try {
      await mkdir(paths.chunks, { recursive: true, mode: 0o700 });
      await writeFileDurably(paths.manifest, JSON.stringify(manifest), { syncParent: true });
      await syncDirectory(this.paths.batches);
    } catch (error) {
      await this.remove(manifest.batch.id);
      throw explainWriteError(error);
    }
  }

  /** Only the runner, and the API before it answered the creation, may call this. */
  async remove(batchId: string): Promise<void> {
    await rm(this.paths.batch(batchId).directory, { recursive: true, force: true });
  }

  /** Only the runner may call this. `syncParent`: also across a power cut, for changes of status. */
  async write(manifest: Manifest, options: { syncParent: boolean }): Promise<void> {
    await writeFileDurably(this.paths.batch(manifest.batch.id).manifest, JSON.stringify(manifest), options);
  }

  chunksDirectory(batchId: string): string {
    return this.paths.batch(batchId).chunks;
  }

  /** For a batch that is over and whose files are durable. Only the runner may call this. */
  async removeChunks(batchId: string): Promise<void> {
    await rm(this.chunksDirectory(batchId), { recursive: true, force: true });
  }

  /** Null when there is no such batch. */
  async read(batchId: string): Promise<Manifest | null> {
    if (!isBatchId(batchId)) return null;
    const manifest = await readStored<Manifest>(this.paths.batch(batchId).manifest, 1);
    return manifest === null ? null : { ...manifest, tenant: manifest.tenant ?? DEFAULT_TENANT, models: manifest.models ?? null };
  }

  /** Ids of all batches, oldest first. */
  listIds(): Promise<string[]> {
    return listIds(this.paths.batches, isBatchId);
  }

  /** Throws `not_found`. */
  async get(batchId: string, sees: Sees): Promise<BatchView> {
    const view = await this.view(batchId, sees);
    if (view === null)
      throw new InterleaveError('not_found', `No batch with id ${JSON.stringify(batchId.slice(0, 64))}`, { param: 'batch_id' });
    return view;
  }

  async list(page: PageRequest, sees: Sees): Promise<Page<BatchView>> {
    return readPage(await this.listIds(), page, (id) => this.view(id, sees));
  }

  /** Removes directories that never got a manifest, because the process that made them was killed. */
  async removeAbandoned(olderThanMs: number): Promise<void> {
    for (const id of await this.listIds()) {
      const { directory, manifest } = this.paths.batch(id);
      if ((await orNullIfMissing(stat(manifest))) !== null) continue;
      const made = await orNullIfMissing(stat(directory));
      if (made !== null && Date.now() - made.mtimeMs > olderThanMs) await this.remove(id);
    }
  }

  async requestCancel(batchId: string): Promise<void> {
    try {
      await writeFile(this.paths.batch(batchId).cancelMarker, '', { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw explainWriteError(error);
    }
    await syncDirectory(this.paths.batch(batchId).directory);
  }

  /** Null when there is none, or none that can be read. */
  async readCrashMark(batchId: string): Promise<CrashMark | null> {
    const text = await orNullIfMissing(readFile(this.paths.batch(batchId).crashMark, 'utf8'));
    try {
      return text === null ? null : (JSON.parse(text) as CrashMark);
    } catch {
      return null;
    }
  }

  /** Survives the end of this process, not that of the machine. Only the runner may call this. */
  async writeCrashMark(batchId: string, mark: CrashMark): Promise<void> {
    await writeFile(this.paths.batch(batchId).crashMark, JSON.stringify(mark), { mode: 0o600 });
  }

  /** Unix seconds at which somebody asked to cancel; null: nobody has. */
  async cancelRequestedAt(batchId: string): Promise<number | null> {
    const marker = await orNullIfMissing(stat(this.paths.batch(batchId).cancelMarker));
    return marker === null ? null : Math.floor(marker.mtimeMs / 1000);
  }

  private async view(batchId: string, sees: Sees): Promise<BatchView | null> {
    const manifest = await this.read(batchId);
    return manifest === null || !sees(manifest.tenant) ? null : toBatchView(manifest, await this.cancelRequestedAt(batchId));
  }
}
