import { InterleaveError } from '@app/contracts';
import type { ObjectStore } from '@app/batches';
import { BreakerOpen, type Breaker, type Verdict } from './breaker';

/** What a disk says that cannot be written to. */
const BROKEN: ReadonlySet<string | undefined> = new Set(['EIO', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENXIO', 'ENODEV', 'ESTALE']);

/** A write that failed; a file that was refused because it would not fit says nothing. */
export function storageVerdict(error: unknown): Verdict {
  if (error instanceof InterleaveError && error.code === 'storage_unavailable') return 'fault';
  const cause = error instanceof InterleaveError ? (error.cause as unknown) : error;
  return BROKEN.has((cause as NodeJS.ErrnoException | null | undefined)?.code) ? 'fault' : 'unclear';
}

/** Refuses what would be written to a disk or a bucket that fails, before anything of it is received. */
export class StorageGuard {
  /** `tryWrite`: a small write, to see whether the disk works again. */
  constructor(
    private readonly store: Pick<ObjectStore, 'kind' | 'address'>,
    private readonly breaker: Breaker,
    private readonly tryWrite: () => Promise<void>,
  ) {}

  /** As `work` does, or rejects with `storage_full` or `storage_unavailable` without trying it. */
  async write<T>(work: () => Promise<T>): Promise<T> {
    try {
      if (this.breaker.isDue) await this.breaker.run(this.tryWrite);
      return await this.breaker.run(work);
    } catch (error) {
      if (error instanceof BreakerOpen) throw this.refused(error);
      throw !(error instanceof InterleaveError) && storageVerdict(error) === 'fault' ? failed(error as NodeJS.ErrnoException) : error;
    }
  }

  private refused({ reason, retryAfterSeconds }: BreakerOpen): InterleaveError {
    const again = `It is tried again in ${retryAfterSeconds} s`;
    return this.store.kind === 'directory'
      ? new InterleaveError('storage_full', `DATA_DIR cannot be written to: ${reason}; look at its disk. ${again}`, { retryAfterSeconds })
      : new InterleaveError('storage_unavailable', `The store ${this.store.address} cannot be written to: ${reason}. ${again}`, {
          retryAfterSeconds,
        });
  }
}

function failed(error: NodeJS.ErrnoException): InterleaveError {
  return new InterleaveError('storage_full', `DATA_DIR cannot be written to: ${error.code}; look at its disk`, { cause: error });
}
