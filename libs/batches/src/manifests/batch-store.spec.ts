import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BatchStore } from './batch-store';
import { newBatchId, newFileId } from './ids';
import { newManifest, type Manifest } from './manifest';
import { makeDataDir } from '../storage/testing/data-dir';

function manifest(createdAtMs: number): Manifest {
  const createdAt = Math.floor(createdAtMs / 1000);
  return newManifest({
    batchId: newBatchId(createdAtMs),
    endpoint: '/v1/embeddings',
    inputFileId: newFileId(),
    outputFileId: newFileId(),
    errorFileId: newFileId(),
    metadata: { team: 'search' },
    isDeterministic: false,
    outputExpiresAfterSeconds: null,
    createdAt,
    expiresAt: createdAt + 86_400,
  });
}

describe('BatchStore', () => {
  const dataDir = makeDataDir();
  const batches = new BatchStore(dataDir.path);
  afterAll(() => dataDir.remove());

  it('gives back what it was given, in the shape of the API', async () => {
    const created = manifest(1_800_000_000_000);
    await batches.create(created);
    expect(await batches.read(created.batch.id)).toEqual(created);
    expect(await batches.get(created.batch.id)).toEqual(created.batch);
    expect(readdirSync(join(dataDir.path, 'batches', created.batch.id)).sort()).toEqual(['chunks', 'manifest.json']);
  });

  it('shows a cancel that the runner has not seen yet', async () => {
    const created = manifest(1_800_000_001_000);
    await batches.create(created);
    await batches.requestCancel(created.batch.id);
    const askedAt = await batches.cancelRequestedAt(created.batch.id);
    await batches.requestCancel(created.batch.id);
    expect(await batches.get(created.batch.id)).toMatchObject({ status: 'cancelling', cancelling_at: askedAt });
  });

  it('does not show a cancel that came too late', async () => {
    const created = manifest(1_800_000_002_000);
    created.batch.status = 'completed';
    await batches.create(created);
    await batches.requestCancel(created.batch.id);
    expect((await batches.get(created.batch.id)).status).toBe('completed');
  });

  it('lists the newest first', async () => {
    const { data, hasMore } = await batches.list({ limit: 2, order: 'desc', after: null });
    expect(data.map(({ created_at: createdAt }) => createdAt)).toEqual([1_800_000_002, 1_800_000_001]);
    expect(hasMore).toBe(true);
  });

  it.each(['..', 'batch_', 'batch_../../x', `batch_${'a'.repeat(31)}.`])('finds nothing under %p', async (id) => {
    await expect(batches.get(id)).rejects.toMatchObject({ code: 'not_found' });
  });
});
