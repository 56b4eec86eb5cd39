import { createHash } from 'node:crypto';
import { InterleaveError } from '@app/contracts';
import type { ObjectStore } from '../storage/object-store';
import { readStored, storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import type { BatchStore } from './batch-store';
import { newBatchId } from './ids';

const FORMATS = [1] as const;
const LIFE_MS = 24 * 3600_000;
/** An attempt that has not ended by then belongs to a process that was killed, or is slow: another may be made beside it. */
const ATTEMPT_MS = 5_000;

/** What a key was used for. */
interface KeyRecord {
  formatVersion: 1;
  /** SHA-256 of the request's body. */
  fingerprint: string;
  batchId: string;
  /** Unix milliseconds of the first request, and of the last attempt. */
  createdMs: number;
  attemptMs: number;
  state: 'creating' | 'created' | 'failed';
}

/** One attempt to create a batch. */
export interface BatchClaim {
  readonly batchId: string;
  /** The batch is there. */
  keep(): Promise<void>;
  /** The attempt failed. False: another attempt with this id may succeed, so nothing of it may be removed. */
  release(): Promise<boolean>;
}

/** Of a request without a key. */
export const unkeyedClaim = (): BatchClaim => ({ batchId: newBatchId(), keep: async () => undefined, release: async () => true });

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): the first request with a key makes the batch, later ones of the
 * same tenant get the same one, for 24 hours, whatever is killed in between. Attempts of one key have one batch id, and the manifest is
 * put if absent: two that overlap make one batch.
 *
 * | state | left by |
 * |---|---|
 * | none, or older than 24 h | a request → creating |
 * | creating | `keep` → created; `release` → failed |
 * | creating for 5 s | a request that finds the batch → created; another one → creating, with the same batch id |
 * | failed | a request → creating, with another batch id |
 * | created | – |
 */
export class IdempotencyKeys {
  constructor(
    private readonly store: ObjectStore,
    private readonly batches: BatchStore,
  ) {}

  /**
   * The claim of a request that is to make the batch, or the id of the batch that is there already. Rejects with `conflict` while
   * another request makes it, or where it was deleted, and with `idempotency_mismatch` for another body.
   */
  async claim(tenant: string, key: string, body: Uint8Array): Promise<BatchClaim | string> {
    const at = `${storeKeys.idempotency}${digest(`${tenant}\n${key}`)}`;
    const fingerprint = digest(body);
    const found = await readStored<KeyRecord>(this.store, at, FORMATS);
    const nowMs = Date.now();
    const first: KeyRecord = {
      formatVersion: 1,
      fingerprint,
      batchId: newBatchId(),
      createdMs: nowMs,
      attemptMs: nowMs,
      state: 'creating',
    };
    if (found === null) {
      if (!(await this.store.putIfAbsent(at, storedJson(first)))) throw inFlight();
      return this.claimOf(at, first);
    }
    const { record, version } = found;
    if (nowMs - record.createdMs > LIFE_MS) return this.replace(at, first, version);
    if (record.fingerprint !== fingerprint) throw mismatch();
    if ((await this.batches.read(record.batchId)) !== null) {
      // Its maker was perhaps killed before it could say so. Once the batch is deleted, nothing else tells that it was there.
      if (record.state === 'creating' && nowMs - record.attemptMs > ATTEMPT_MS)
        await this.store.putIfUnchanged(at, storedJson({ ...record, state: 'created' }), version).catch(() => null);
      return record.batchId;
    }
    if (record.state === 'created') throw deleted(record.batchId);
    if (record.state === 'creating' && nowMs - record.attemptMs <= ATTEMPT_MS) throw inFlight();
    const batchId = record.state === 'failed' ? first.batchId : record.batchId;
    return this.replace(at, { ...record, batchId, attemptMs: nowMs, state: 'creating' }, version);
  }

  /** Removes keys that are over. */
  async sweep(): Promise<void> {
    for (const name of await this.store.listNames(storeKeys.idempotency)) {
      const facts = await this.store.head(`${storeKeys.idempotency}${name}`);
      if (facts !== null && Date.now() - facts.modifiedMs > LIFE_MS) await this.store.delete(`${storeKeys.idempotency}${name}`);
    }
  }

  private async replace(at: string, record: KeyRecord, version: string): Promise<BatchClaim> {
    if ((await this.store.putIfUnchanged(at, storedJson(record), version)) === null) throw inFlight();
    return this.claimOf(at, record);
  }

  private async claimOf(at: string, record: KeyRecord): Promise<BatchClaim> {
    const end = async (state: 'created' | 'failed'): Promise<boolean> => {
      const found = await readStored<KeyRecord>(this.store, at, FORMATS);
      // Another attempt goes on with this key.
      if (found === null || found.record.attemptMs !== record.attemptMs || found.record.state !== 'creating') return false;
      return (await this.store.putIfUnchanged(at, storedJson({ ...record, state }), found.version)) !== null;
    };
    return { batchId: record.batchId, keep: async () => void (await end('created')), release: () => end('failed') };
  }
}

const digest = (of: string | Uint8Array): string => createHash('sha256').update(of).digest('hex');

const PARAM = { param: 'Idempotency-Key' };

const inFlight = (): InterleaveError =>
  new InterleaveError('conflict', 'A request with this Idempotency-Key is in work; send it again in some seconds', PARAM);

const mismatch = (): InterleaveError =>
  new InterleaveError(
    'idempotency_mismatch',
    'Idempotency-Key: expected the body of the first request with this key but received another; use a new key for another batch',
    PARAM,
  );

const deleted = (batchId: string): InterleaveError =>
  new InterleaveError('conflict', `Batch ${batchId}, which this Idempotency-Key made, was deleted; use a new key`, PARAM);
