import type { ChunkLedger } from './chunks/chunk-ledger';

/** What the owner of a batch needs of the queues. */
export interface OwnerQueue {
  /** Takes over the chunk jobs of an owner before. Rejects while Redis is away. */
  adoptJobs(ledger: ChunkLedger): Promise<void>;
  /** The batch has chunks to queue. */
  onFeedable(): void;
  /** Which part of the executor time of this owner's batches the batch has, above 0 and at most 1. */
  shareOf(batch: { readonly load: number }): number;
  /** Drops the waiting chunks of a batch that wants none now. Best effort. */
  forget(ledger: ChunkLedger): Promise<void>;
}
