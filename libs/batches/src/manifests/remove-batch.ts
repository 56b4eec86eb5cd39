import { InterleaveError, type ErrorCode } from '@app/contracts';
import type { FileStore } from '../files/file-store';
import { inParallel } from '../storage/in-parallel';
import { SEES_ALL } from '../storage/owner';
import type { BatchStore } from './batch-store';
import { isTerminal, type Manifest } from './manifest';

/** Retries that are looked at at once. */
const LOOKS_MAX = 16;

/**
 * Removes a batch that is over with its output files and results; its input file stays. After a kill it can be done again, an hour later at
 * most. Throws `not_found`, and `conflict` for a batch that is not over, or one whose results or output another open batch reads.
 * The tombstone comes before the look at its retries: one that was accepted before keeps the batch, one that comes later sees the tombstone.
 * Only who put it takes it away; one that a killed process left stays until the batch is deleted.
 */
export async function removeBatch(parts: { files: FileStore; batches: BatchStore }, batchId: string): Promise<void> {
  const { files, batches } = parts;
  const manifest = await batches.read(batchId);
  if (manifest === null)
    throw new InterleaveError('not_found', `No batch with id ${JSON.stringify(batchId.slice(0, 64))}`, { param: 'batch_id' });
  const { status } = manifest.batch;
  if (!isTerminal(status))
    throw new InterleaveError('conflict', `A batch with status '${status}' cannot be deleted; cancel it or wait for its end`, {
      param: 'batch_id',
    });
  const isMine = await batches.doom(batchId);
  try {
    await refuseRetried(batches, batchId);
    await removeOutputs(files, batches, manifest);
  } catch (error) {
    if (isMine) await batches.spare(batchId);
    throw error;
  }
  await batches.remove(batchId);
  // Those that a node put meanwhile which had the batch before: it looks for the manifest afterwards.
  await removeOutputs(files, batches, manifest).catch(unless('conflict')); // a sweep has it
}

const unless =
  (code: ErrorCode) =>
  (error: unknown): void => {
    if (!(error instanceof InterleaveError) || error.code !== code) throw error;
  };

async function refuseRetried(batches: BatchStore, batchId: string): Promise<void> {
  await inParallel(await batches.listRetryIds(batchId), LOOKS_MAX, async (retryId) => {
    if (await batches.isOpen(retryId))
      throw new InterleaveError('conflict', `Batch ${batchId} is retried by ${retryId}; cancel that batch or wait for its end`, {
        param: 'batch_id',
      });
  });
}

async function removeOutputs(files: FileStore, batches: BatchStore, manifest: Manifest): Promise<void> {
  for (const fileId of [manifest.outputFileId, manifest.errorFileId]) await removeOutput(files, batches, fileId, manifest);
}

async function removeOutput(files: FileStore, batches: BatchStore, fileId: string, { batch }: Manifest): Promise<void> {
  if ((await files.find(fileId)) === null) return;
  // The mark of a batch that has just ended may still be there.
  const isUsed = async (other: string): Promise<boolean> => other !== batch.id && batches.isOpen(other);
  await files.delete(fileId, isUsed, SEES_ALL).catch(unless('not_found')); // the node that put it takes it away as well
}
