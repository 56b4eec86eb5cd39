import { LocalStore } from '../storage/local-store';
import { makeDataDir } from '../storage/testing/data-dir';
import { storeKeys } from '../storage/store-keys';
import { BatchStore } from './batch-store';
import { IdempotencyKeys, type BatchClaim } from './idempotency-keys';
import { newFileId } from './ids';
import { newManifest } from './manifest';

const HOUR_MS = 3600_000;
const BODY = Buffer.from('{"a":1}');

describe('IdempotencyKeys', () => {
  let dataDir: ReturnType<typeof makeDataDir>;
  let store: LocalStore;
  let batches: BatchStore;
  let keys: IdempotencyKeys;

  beforeEach(() => {
    dataDir = makeDataDir();
    store = new LocalStore(dataDir.path);
    batches = new BatchStore(store);
    keys = new IdempotencyKeys(store, batches);
  });
  afterEach(() => {
    jest.restoreAllMocks();
    dataDir.remove();
  });

  const create = (batchId: string) =>
    batches.create(
      newManifest({
        ...{ batchId, tenant: 'a', models: null, endpoint: '/v1/embeddings', metadata: null, isDeterministic: false },
        ...{ inputFileId: newFileId(), outputFileId: newFileId(), errorFileId: newFileId() },
        ...{ outputExpiresAfterSeconds: null, createdAt: 1, expiresAt: 2 },
      }),
    );
  const claimed = async (body = BODY): Promise<BatchClaim> => {
    const claim = await keys.claim('a', 'key', body);
    if (typeof claim === 'string') throw new Error(`expected a claim but ${claim} is there`);
    return claim;
  };
  const later = (ms: number) => {
    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + ms);
  };

  it('gives the batch to later requests, kept or killed before', async () => {
    const claim = await claimed();
    await expect(keys.claim('a', 'key', BODY)).rejects.toMatchObject({ code: 'conflict' });
    await create(claim.batchId);
    expect(await keys.claim('a', 'key', BODY)).toBe(claim.batchId);
    await claim.keep();
    expect(await keys.claim('a', 'key', BODY)).toBe(claim.batchId);
    await expect(keys.claim('a', 'key', Buffer.from('{}'))).rejects.toMatchObject({ code: 'idempotency_mismatch', status: 422 });
  });

  it('lets the next request make the batch of one that was killed, under the same id', async () => {
    const killed = await claimed();
    later(6_000);
    const next = await claimed();
    expect(next.batchId).toBe(killed.batchId);
    await create(next.batchId);
    // The first one was slow only, and fails now: it must not take the batch of the second one away.
    expect(await killed.release()).toBe(false);
    expect(await keys.claim('a', 'key', BODY)).toBe(next.batchId);
  });

  it('makes one batch of attempts that overlap, and the first manifest stays', async () => {
    const slow = await claimed();
    later(6_000);
    const next = await claimed();
    await create(next.batchId);
    const manifest = await batches.read(next.batchId);
    await create(slow.batchId);
    expect(await batches.read(next.batchId)).toEqual(manifest);
    expect(await batches.listIds()).toEqual([next.batchId]);
  });

  it('takes a key whose request failed for a new batch', async () => {
    const failed = await claimed();
    expect(await failed.release()).toBe(true);
    expect(await failed.release()).toBe(false);
    const next = await claimed();
    expect(next.batchId).not.toBe(failed.batchId);
  });

  it.each(['kept', 'killed before, and asked for again'])('does not make a batch anew that was deleted: %s', async (how) => {
    const claim = await claimed();
    await create(claim.batchId);
    if (how === 'kept') await claim.keep();
    later(6_000);
    if (how !== 'kept') expect(await keys.claim('a', 'key', BODY)).toBe(claim.batchId);
    await batches.remove(claim.batchId);
    await expect(keys.claim('a', 'key', BODY)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('was deleted') as string,
    });
  });

  it('knows keys for 24 hours', async () => {
    const first = await claimed();
    await create(first.batchId);
    await keys.sweep();
    expect(await store.listNames(storeKeys.idempotency)).toHaveLength(1);
    later(25 * HOUR_MS);
    expect((await claimed(Buffer.from('other'))).batchId).not.toBe(first.batchId);
    later(50 * HOUR_MS);
    await keys.sweep();
    expect(await store.listNames(storeKeys.idempotency)).toEqual([]);
  });

  it('gives one of many requests at once the claim', async () => {
    const claims = await Promise.allSettled(Array.from({ length: 10 }, () => keys.claim('a', 'key', BODY)));
    expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    later(6_000);
    const again = await Promise.allSettled(Array.from({ length: 10 }, () => keys.claim('a', 'key', BODY)));
    expect(again.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});
