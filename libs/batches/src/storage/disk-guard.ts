import { statfs } from 'node:fs/promises';
import { byteText, InterleaveError } from '@app/contracts';
import { isDiskFull } from './durable';
import type { ObjectStore } from './object-store';

/** Bytes that are written between two looks at a disk. */
const LOOK_BYTES = 16 * 1024 * 1024;

export type FreeBytes = (directory: string) => Promise<number>;

/** Free bytes of the file system that holds `directory`, for this user. */
async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/** Keeps `freeBytesMin` of a disk free, so that Redis, manifests and logs can still be written when data may not. */
export class DiskGuard {
  constructor(
    private readonly directory: string,
    private readonly freeBytesMin: number,
    private readonly measure: FreeBytes = freeBytes,
  ) {}

  /** Why `bytes` more may not be written now; null when they may. */
  async refusal(bytes: number): Promise<string | null> {
    const free = await this.measure(this.directory);
    if (free - bytes >= this.freeBytesMin) return null;
    const needed = bytes === 0 ? '' : `${byteText(bytes, 'up')} needed and `;
    return `${byteText(free, 'down')} free on the disk of ${this.directory}, ${needed}${byteText(this.freeBytesMin)} kept free`;
  }
}

/** Rejects with `storage_full`, of a bucket with `storage_unavailable`, when `byteCount` more may not be written now. */
export async function checkRoom(store: Pick<ObjectStore, 'refusal' | 'kind'>, byteCount: number): Promise<void> {
  const reason = await store.refusal(byteCount);
  if (reason === null) return;
  throw store.kind === 'directory' ? storageFull(reason) : new InterleaveError('storage_unavailable', reason, { retryAfterSeconds: 5 });
}

/** Looks at the disk now and then while something long is written. */
export class RoomCheck {
  private bytesUntilLook = 0;

  constructor(private readonly store: Pick<ObjectStore, 'refusal' | 'kind'>) {}

  /** Rejects as `checkRoom`. */
  async take(byteCount: number): Promise<void> {
    this.bytesUntilLook -= byteCount;
    if (this.bytesUntilLook >= 0) return;
    await checkRoom(this.store, byteCount);
    this.bytesUntilLook = LOOK_BYTES;
  }
}

/** The `storage_full` of a failed write when the disk is full, else the error itself. */
export function explainWriteError(error: unknown): unknown {
  return isDiskFull(error) ? storageFull((error as Error).message, error) : error;
}

export function storageFull(reason: string, cause?: unknown): InterleaveError {
  return new InterleaveError('storage_full', `Not enough disk space: ${reason}. Delete files that are no longer needed, then try again.`, {
    cause,
  });
}
