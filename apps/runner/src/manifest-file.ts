import { randomBytes } from 'node:crypto';
import { ManifestChanged, type BatchStore, type Manifest } from '@app/batches';
import type { Logger } from '@app/telemetry';

type FileState = 'saved' | 'stale' | 'lost';

/**
 * The manifest of one batch in the store, as its owner writes it. Writes follow one another, each on the version of the one
 * before, so that an owner that was replaced meanwhile cannot write any more.
 *
 * | state | store | left by |
 * |---|---|---|
 * | saved | has what was last saved | touch → stale; a save that fails → stale; one that finds another's version → lost |
 * | stale | lacks something that may wait | a save → saved; one that fails → stale; one that finds another's version → lost |
 * | lost | another node owns the batch, or it is gone | – |
 */
export class ManifestFile {
  private current: FileState = 'saved';
  private saving: Promise<boolean> = Promise.resolve(true);

  constructor(
    readonly manifest: Manifest,
    private version: string,
    private readonly batches: BatchStore,
    private readonly nodeId: string,
    private readonly log: Logger,
  ) {}

  get state(): FileState {
    return this.current;
  }

  /** The manifest has changed in something that the next save may bring. */
  touch(): void {
    this.enter('stale');
  }

  /** Writes the manifest as it is when its turn comes. False: it could not be written, and the next save brings it. Never rejects. */
  save(): Promise<boolean> {
    this.saving = this.saving.then(() => this.write());
    return this.saving;
  }

  async saveIfStale(): Promise<void> {
    if (this.current === 'stale') await this.save();
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.saving;
  }

  private async write(): Promise<boolean> {
    if (this.current === 'lost') return true;
    this.enter('saved');
    // New each time, so that this owner's write can be told from everybody else's.
    this.manifest.writer = { nodeId: this.nodeId, writeId: randomBytes(8).toString('hex') };
    try {
      this.version = await this.batches.update(this.manifest, this.version);
    } catch (error) {
      if (!(error instanceof ManifestChanged))
        this.log.warn({ batch_id: this.manifest.batch.id, err: error }, 'manifest could not be written');
      if (!(error instanceof ManifestChanged) || !(await this.wasOurs())) this.enter('stale');
    }
    return this.current !== 'stale';
  }

  /** A write whose answer was lost is sent again, and then meets its own version. */
  private async wasOurs(): Promise<boolean> {
    const { id } = this.manifest.batch;
    try {
      const stored = await this.batches.readForUpdate(id);
      if (stored !== null && stored.manifest.writer?.writeId === this.manifest.writer?.writeId) {
        this.version = stored.version;
        return true;
      }
      this.log.warn({ batch_id: id, owner: stored?.manifest.writer?.nodeId ?? null }, 'another node owns the batch now');
      this.enter('lost');
      return true;
    } catch {
      return false;
    }
  }

  /** The one setter of the state. A batch that is lost stays lost. */
  private enter(state: FileState): void {
    if (this.current !== 'lost') this.current = state;
  }
}
