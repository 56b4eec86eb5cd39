import { ManifestChanged, type BatchStore, type Manifest } from '@app/batches';
import type { Logger } from '@app/telemetry';

type FileState = 'saved' | 'stale' | 'gone';

/**
 * The manifest of one batch in the store, of which this is the one writer. Writes follow one another.
 *
 * | state | store | left by |
 * |---|---|---|
 * | saved | has what was last saved | touch → stale; a save that fails → stale; a save of a batch that is gone → gone |
 * | stale | lacks something that may wait | a save → saved; one that fails → stale; of a batch that is gone → gone |
 * | gone | somebody else wrote it, or the API took the batch back before it answered its creation | – |
 */
export class ManifestFile {
  private current: FileState = 'saved';
  private saving: Promise<boolean> = Promise.resolve(true);

  constructor(
    readonly manifest: Manifest,
    private version: string,
    private readonly batches: BatchStore,
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
    if (this.current === 'gone') return true;
    this.enter('saved');
    try {
      this.version = await this.batches.update(this.manifest, this.version);
    } catch (error) {
      if (error instanceof ManifestChanged) this.enter('gone');
      else this.log.warn({ batch: this.manifest.batch.id, err: error }, 'manifest could not be written');
      this.enter('stale');
    }
    return this.current !== 'stale';
  }

  /** The one setter of the state. A batch that is gone stays gone. */
  private enter(state: FileState): void {
    if (this.current !== 'gone') this.current = state;
  }
}
