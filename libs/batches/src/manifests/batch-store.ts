import { DEFAULT_TENANT, InterleaveError, type ChunkTimeline } from '@app/contracts';
import { inParallel } from '../storage/in-parallel';
import { readPage, type Page, type PageRequest } from '../storage/id-page';
import type { ObjectStore } from '../storage/object-store';
import type { Sees } from '../storage/owner';
import { readStored, RecordUnreadable, storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import { ChunkResults } from '../results/chunk-results';
import { isBatchId, idCreatedAtMs } from './ids';
import { toBatchView, type BatchView, type LiveFacts } from './batch-view';
import { changeControl, readControl, type BatchControl } from './control';
import { isTerminal, type Manifest } from './manifest';

const FORMATS = [1, 2] as const;
const TIMELINE_FORMATS = [1] as const;
/** A page of a list reads those of a batch that is over once. */
const OVER_KEPT_MAX = 1_000;
const LAYOUT = { formatVersion: 2 };
/** Manifests that are looked at at once. */
const READS_MAX = 16;

/** Somebody else wrote the manifest since it was read, or it is gone: whoever wants to write must read it again. */
export class ManifestChanged extends Error {
  override readonly name = 'ManifestChanged';
}

/** A batch as clients see it, and what is behind that. */
export interface FoundBatch {
  manifest: Manifest;
  view: BatchView;
  isPausedByRequest: boolean;
}

interface StoredTimeline {
  formatVersion: 1;
  timeline: ChunkTimeline;
}

/** Manifests, marks and chunk results. Stateless: any number of processes may have one over the same store. */
export class BatchStore {
  /** Manifests that change no more. */
  private readonly over = new Map<string, Manifest>();

  constructor(private readonly store: ObjectStore) {}

  get kind(): ObjectStore['kind'] {
    return this.store.kind;
  }

  /**
   * Accepts a batch: when this resolves, it survives a power cut. The mark that it is open comes before it. A batch that is there
   * already stays as it is. What is left when it rejects is for `remove`, or for `removeAbandoned`.
   */
  async create(manifest: Manifest): Promise<void> {
    const keys = storeKeys.batch(manifest.batch.id);
    await this.store.put(keys.open, new Uint8Array());
    await this.store.putIfAbsent(keys.manifest, storedJson(manifest));
  }

  /** Of a batch that is over, or whose creation is not answered yet. */
  async remove(batchId: string): Promise<void> {
    this.over.delete(batchId);
    const keys = storeKeys.batch(batchId);
    await this.store.delete(keys.manifest);
    await this.store.deleteAll(keys.prefix);
    await this.store.delete(keys.open);
  }

  /** Null when there is no such batch. */
  async read(batchId: string): Promise<Manifest | null> {
    return (await this.readForUpdate(batchId))?.manifest ?? null;
  }

  /** With what `update` wants. */
  async readForUpdate(batchId: string): Promise<{ manifest: Manifest; version: string } | null> {
    if (!isBatchId(batchId)) return null;
    const key = storeKeys.batch(batchId).manifest;
    const stored = await readStored<Manifest>(this.store, key, FORMATS);
    if (stored === null) return null;
    const { record, version } = stored;
    const { batch } = record as Partial<Manifest>;
    if (batch?.id !== batchId) throw new RecordUnreadable(`${key}: expected the manifest of that batch but received another record`);
    return { manifest: { ...record, tenant: record.tenant ?? DEFAULT_TENANT, models: record.models ?? null }, version };
  }

  /**
   * Replaces the manifest of `version`; resolves with the new version. Throws `ManifestChanged`. Versions are of the bytes: two
   * writers who must be told apart write something of their own into the manifest.
   */
  async update(manifest: Manifest, version: string): Promise<string> {
    const { id } = manifest.batch;
    const next = await this.store.putIfUnchanged(storeKeys.batch(id).manifest, storedJson(manifest), version);
    if (next === null) throw new ManifestChanged(`the manifest of ${id} is not of version ${version} any more`);
    return next;
  }

  /** Ids of all batches, oldest first. */
  async listIds(): Promise<string[]> {
    return (await this.store.listNames(storeKeys.batches)).filter(isBatchId);
  }

  /** Ids of the batches that are not over, oldest first, and of some that are just over, or not quite there. */
  async listOpenIds(): Promise<string[]> {
    return (await this.store.listNames(storeKeys.open)).filter(isBatchId);
  }

  /** False once the batch is over. */
  async isOpen(batchId: string): Promise<boolean> {
    if (!isBatchId(batchId)) return false;
    // First: a mark that is put meanwhile is then seen.
    const areMarked = await this.areMarked();
    if ((await this.store.head(storeKeys.batch(batchId).open)) !== null) return true;
    if (areMarked) return false;
    const manifest = await this.read(batchId);
    return manifest !== null && !isTerminal(manifest.batch.status);
  }

  /** After the manifest says that the batch is over. Its notes with other batches, and rows that were prepared for it, go before its mark. */
  async close(batchId: string): Promise<void> {
    const keys = storeKeys.batch(batchId);
    // A record that cannot be read keeps no batch open; a note that stays for it names one that is over.
    const sourceOf = async (id: string): Promise<string | undefined> => (await this.read(id).catch(() => null))?.retryOf;
    for (let source = await sourceOf(batchId); source !== undefined; source = await sourceOf(source)) {
      await this.removeRetry(source, batchId);
    }
    await this.store.delete(keys.preparedRecord);
    await this.store.deleteAll(keys.preparedRows);
    await this.store.delete(keys.open);
  }

  /** Notes that a batch retries rows of this one, before that batch exists. */
  async addRetry(batchId: string, retryId: string): Promise<void> {
    await this.store.put(`${storeKeys.batch(batchId).retries}${retryId}`, new Uint8Array());
  }

  async removeRetry(batchId: string, retryId: string): Promise<void> {
    await this.removeMark(batchId, `${storeKeys.batch(batchId).retries}${retryId}`);
  }

  /** False: its results are gone, or about to be. To be asked last, once the batch that retries it is there. */
  async mayRetry(batchId: string): Promise<boolean> {
    const manifest = await this.read(batchId);
    if (manifest === null) return false;
    const keys = storeKeys.batch(batchId);
    const tombstones = [keys.deleted, ...[manifest.outputFileId, manifest.errorFileId].map((id) => storeKeys.file(id).deleted)];
    for (const tombstone of tombstones) if ((await this.store.head(tombstone)) !== null) return false;
    // In this order: tombstones of files go after the results, and that of the batch after its manifest.
    return (await this.hasResults(batchId)) && (await this.store.head(keys.manifest)) !== null;
  }

  /** Puts the tombstone that `mayRetry` sees. False: it is there. */
  doom(batchId: string): Promise<boolean> {
    return this.store.putIfAbsent(storeKeys.batch(batchId).deleted, new Uint8Array());
  }

  async spare(batchId: string): Promise<void> {
    await this.removeMark(batchId, storeKeys.batch(batchId).deleted);
  }

  /** Batches that need its results while they are open. */
  async listRetryIds(batchId: string): Promise<string[]> {
    return (await this.store.listNames(storeKeys.batch(batchId).retries)).filter(isBatchId);
  }

  results(batchId: string): ChunkResults {
    return new ChunkResults(this.store, batchId);
  }

  /** Whether what became of its rows is still known; false while they run, and once its output files are deleted. */
  async hasResults(batchId: string): Promise<boolean> {
    return (await this.store.head(storeKeys.batch(batchId).resultTable)) !== null;
  }

  /** For a batch that has no output files, or has them no longer. */
  async removeChunks(batchId: string): Promise<void> {
    const keys = storeKeys.batch(batchId);
    await this.store.deleteAll(keys.chunks);
    await this.store.delete(keys.resultTable);
  }

  /** Throws `not_found`. */
  async get(batchId: string, sees: Sees): Promise<BatchView> {
    const view = await this.view(batchId, sees);
    // One that is over may be gone, removed through another process.
    if (view === null || (this.over.has(batchId) && (await this.store.head(storeKeys.batch(batchId).manifest)) === null))
      throw new InterleaveError('not_found', `No batch with id ${JSON.stringify(batchId.slice(0, 64))}`, { param: 'batch_id' });
    return view;
  }

  async list(page: PageRequest, sees: Sees): Promise<Page<BatchView>> {
    return readPage(await this.listIds(), page, (id) => this.view(id, sees));
  }

  /**
   * Removes what is there of batches without a manifest: marked open by a process that was killed before it wrote one, left by a
   * deletion that was killed, or written while the batch was deleted.
   */
  async removeAbandoned(olderThanMs: number): Promise<void> {
    const ids = new Set([...(await this.listOpenIds()), ...(await this.listIds())]);
    const old = [...ids].filter((id) => Date.now() - idCreatedAtMs(id) > olderThanMs);
    await inParallel(old, READS_MAX, async (id) => {
      if (!(await this.hasManifest(id))) await this.remove(id);
    });
  }

  /**
   * Marks the open batches of a release that had no such marks; once for each store. Call it before `listOpenIds`, and before any
   * batch is worked on.
   */
  async upgrade(): Promise<void> {
    if (await this.areMarked()) return;
    await inParallel(await this.listIds(), READS_MAX, (id) => this.markIfOpen(id));
    await this.store.put(storeKeys.layout, storedJson(LAYOUT));
  }

  async requestCancel(batchId: string): Promise<void> {
    await this.store.putIfAbsent(storeKeys.batch(batchId).cancelMarker, new Uint8Array());
  }

  /** Unix seconds at which somebody asked to cancel; null: nobody has. */
  async cancelRequestedAt(batchId: string): Promise<number | null> {
    const marker = await this.store.head(storeKeys.batch(batchId).cancelMarker);
    return marker === null ? null : Math.floor(marker.modifiedMs / 1000);
  }

  /** As it is now; of a batch that is over, as it was. */
  readControl(manifest: Manifest): Promise<BatchControl> {
    return readControl(this.store, manifest);
  }

  /** Throws `conflict` where many change it at the same time. */
  changeControl(manifest: Manifest, change: Partial<BatchControl>): Promise<BatchControl> {
    return changeControl(this.store, manifest, change);
  }

  /** Runners of some node crash of this batch: its owner is to fail it. */
  async markCrashed(batchId: string): Promise<void> {
    await this.store.putIfAbsent(storeKeys.batch(batchId).crashMarker, new Uint8Array());
  }

  async hasCrashed(batchId: string): Promise<boolean> {
    return (await this.store.head(storeKeys.batch(batchId).crashMarker)) !== null;
  }

  /** As its owner last wrote it; null: none did. Rejects with `RecordUnreadable`. */
  async readTimeline(batchId: string): Promise<ChunkTimeline | null> {
    const stored = await readStored<StoredTimeline>(this.store, storeKeys.batch(batchId).timeline, TIMELINE_FORMATS);
    return stored?.record.timeline ?? null;
  }

  async writeTimeline(batchId: string, timeline: ChunkTimeline): Promise<void> {
    await this.store.put(storeKeys.batch(batchId).timeline, storedJson({ formatVersion: 1, timeline } satisfies StoredTimeline));
  }

  /** With all that is known of it. Null: there is none, or it is not for who asks. */
  async find(batchId: string, sees: Sees): Promise<FoundBatch | null> {
    const manifest = this.over.get(batchId) ?? (await this.read(batchId));
    if (manifest === null || !sees(manifest.tenant)) return null;
    if (!isTerminal(manifest.batch.status)) {
      const facts = await this.liveFacts(manifest);
      return { manifest, view: toBatchView(manifest, facts), isPausedByRequest: facts.control.isPaused };
    }
    if (this.over.size >= OVER_KEPT_MAX) this.over.clear();
    this.over.set(batchId, manifest);
    return { manifest, view: toBatchView(manifest, null), isPausedByRequest: false };
  }

  private async liveFacts(manifest: Manifest): Promise<LiveFacts> {
    const [cancelRequestedAt, control] = await Promise.all([this.cancelRequestedAt(manifest.batch.id), this.readControl(manifest)]);
    return { cancelRequestedAt, control };
  }

  private async markIfOpen(batchId: string): Promise<void> {
    // One that cannot be read is found by whoever looks at the mark.
    const manifest = await this.read(batchId).catch(() => undefined);
    if (manifest === null) return;
    const keys = storeKeys.batch(batchId);
    if (manifest === undefined || !isTerminal(manifest.batch.status)) return this.store.put(keys.open, new Uint8Array());
    // That release had copied them into the output files. With a table they are of this one, and are the output files.
    const mayHaveOutputs = (await this.store.head(keys.resultTable)) !== null;
    if (!mayHaveOutputs && (await this.store.listNames(keys.chunks)).length > 0) await this.removeChunks(batchId);
  }

  /** Rejects where the bucket is missing: `head` cannot tell that from a missing manifest. */
  private async hasManifest(batchId: string): Promise<boolean> {
    const { manifest } = storeKeys.batch(batchId);
    return (await this.store.head(manifest)) !== null || (await this.store.get(manifest)) !== null;
  }

  /** With the folder, where the batch was removed before the mark was put. */
  private async removeMark(batchId: string, key: string): Promise<void> {
    await this.store.delete(key);
    if (!(await this.hasManifest(batchId))) await this.remove(batchId);
  }

  /** False: open batches of a former release may be without their marks. A bucket was never without. */
  private async areMarked(): Promise<boolean> {
    return this.store.kind === 'bucket' || (await this.store.head(storeKeys.layout)) !== null;
  }

  private async view(batchId: string, sees: Sees): Promise<BatchView | null> {
    return (await this.find(batchId, sees))?.view ?? null;
  }
}
