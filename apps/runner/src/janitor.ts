import {
  idCreatedAtMs,
  isTerminal,
  removeBatch,
  type BatchStore,
  type FileStore,
  type IdempotencyKeys,
  type UploadStore,
} from '@app/batches';
import type { Logger } from '@app/telemetry';

const DAY_MS = 24 * 3600_000;
/** What was begun this long ago and is not there yet belongs to a process that is gone. */
const ABANDONED_MS = 60 * 60 * 1000;

export interface JanitorParts {
  files: FileStore;
  batches: BatchStore;
  uploads: UploadStore;
  idempotency: IdempotencyKeys;
  /** Life of batches that are over; null: kept until deleted. */
  batchesDays: number | null;
  log: Logger;
}

/** Removes what nobody can use any more: what expired, what is kept long enough, and what killed processes left. */
export class Janitor {
  constructor(private readonly parts: JanitorParts) {}

  /** By one node of the fleet at a time: it reads every file's record. Safe to kill, and to do again. */
  async sweep(): Promise<void> {
    const { files, batches, uploads, idempotency, log } = this.parts;
    // Before the files: it makes some of them abandoned.
    await uploads.sweep();
    const expired = await files.sweep((batchId) => batches.isOpen(batchId));
    if (expired.length > 0) log.info({ files: expired }, 'expired files removed');
    await batches.removeAbandoned(ABANDONED_MS);
    await idempotency.sweep();
    await this.removeOldBatches();
  }

  private async removeOldBatches(): Promise<void> {
    const { batches, batchesDays, log } = this.parts;
    if (batchesDays === null) return;
    const overBeforeMs = Date.now() - batchesDays * DAY_MS;
    const removed: string[] = [];
    for (const id of await batches.listIds()) {
      // The oldest come first, and a batch is over after it was created.
      if (idCreatedAtMs(id) > overBeforeMs) break;
      if ((await this.isOverSince(id, overBeforeMs)) && (await this.tryRemove(id))) removed.push(id);
    }
    if (removed.length > 0) log.info({ batches: removed }, `batches that were over for ${batchesDays} days removed, with their outputs`);
  }

  private async isOverSince(batchId: string, ms: number): Promise<boolean> {
    // One that another release wrote must not keep the others from going.
    const manifest = await this.parts.batches.read(batchId).catch(() => null);
    if (manifest === null || !isTerminal(manifest.batch.status)) return false;
    const { completed_at: completed, failed_at: failed, expired_at: expired, cancelled_at: cancelled } = manifest.batch;
    return (completed ?? failed ?? expired ?? cancelled ?? manifest.batch.created_at) * 1000 <= ms;
  }

  /** False: not now; the next sweep tries it again. */
  private async tryRemove(batchId: string): Promise<boolean> {
    try {
      await removeBatch(this.parts, batchId);
      return true;
    } catch (error) {
      this.parts.log.info({ batch_id: batchId, err: error }, 'an old batch cannot be removed yet');
      return false;
    }
  }
}
