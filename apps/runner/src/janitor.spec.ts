import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { IdempotencyKeys, newBatchId, newFileId, newManifest, publishOutputs, SEES_ALL, UploadStore, type Manifest } from '@app/batches';
import type { BatchStatus } from '@app/contracts';
import { createLogger } from '@app/telemetry';
import { Janitor } from './janitor';
import { Workspace } from './testing/workspace';

const DAY_MS = 24 * 3600_000;
const TIME_OF: Partial<Record<BatchStatus, 'completed_at' | 'failed_at' | 'expired_at' | 'cancelled_at'>> = {
  completed: 'completed_at',
  failed: 'failed_at',
  expired: 'expired_at',
  cancelled: 'cancelled_at',
};

describe('Janitor', () => {
  const workspace = new Workspace();
  const { store, files, batches } = workspace;
  afterAll(() => workspace.close());

  const janitor = (batchesDays: number | null) =>
    new Janitor({
      ...{ files, batches, batchesDays },
      uploads: new UploadStore(store, files),
      idempotency: new IdempotencyKeys(store, batches),
      log: createLogger('runner', 'error'),
    });
  const exists = (path: string) => existsSync(join(workspace.config.dataDir, path));

  async function batchOf(status: BatchStatus, createdDaysAgo: number, overDaysAgo: number): Promise<Manifest> {
    const createdAt = Math.floor((Date.now() - createdDaysAgo * DAY_MS) / 1000);
    const manifest = newManifest({
      ...{ batchId: newBatchId(createdAt * 1000), tenant: 'default', models: null, endpoint: '/v1/embeddings', metadata: null },
      ...{ inputFileId: newFileId(), outputFileId: newFileId(), errorFileId: newFileId(), isDeterministic: false },
      ...{ outputExpiresAfterSeconds: null, createdAt, expiresAt: createdAt + 86_400 },
    });
    const time = TIME_OF[status];
    manifest.batch.status = status;
    if (time !== undefined) manifest.batch[time] = Math.floor((Date.now() - overDaysAgo * DAY_MS) / 1000);
    await batches.create(manifest);
    if (time !== undefined) await batches.close(manifest.batch.id);
    return manifest;
  }

  async function end(batchId: string, overDaysAgo: number): Promise<void> {
    const found = await batches.readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    const { manifest, version } = found;
    Object.assign(manifest.batch, { status: 'completed', completed_at: Math.floor((Date.now() - overDaysAgo * DAY_MS) / 1000) });
    await batches.update(manifest, version);
    await batches.close(batchId);
  }

  it('removes batches that have been over for long enough, with their outputs, and no others', async () => {
    const old = await batchOf('finalizing', 9, 0);
    const writer = await batches.results(old.batch.id).begin(0);
    await writer.addOutput('{"a":1}');
    const { result } = await writer.commit();
    const { output } = await publishOutputs(store, { manifest: old, chunkCount: 1, resultOf: () => result, makeTable: null });
    await end(old.batch.id, 8);
    const goes = [old, await batchOf('failed', 9, 8), await batchOf('cancelled', 8, 7.5), await batchOf('expired', 30, 29)];
    const stays = [await batchOf('completed', 9, 6), await batchOf('in_progress', 9, 0), await batchOf('completed', 1, 1)];
    await janitor(null).sweep();
    expect(await batches.listIds()).toHaveLength(goes.length + stays.length);
    await janitor(7).sweep();
    expect(await batches.listIds()).toEqual(stays.map(({ batch }) => batch.id).sort());
    expect(await files.find(output?.id ?? '')).toBeNull();
    expect([exists(`batches/${old.batch.id}`), exists(`files/${output?.id}`)]).toEqual([false, false]);
    await janitor(7).sweep();
    expect(await batches.listIds()).toHaveLength(stays.length);
  });

  it('removes what is over of uploads, but no file that came by one', async () => {
    const uploads = new UploadStore(store, files);
    const { id } = await uploads.create({ bytes: 2, filename: 'a', tenant: 'default', expiresAfterSeconds: null });
    const part = await uploads.addPart(id, 2, SEES_ALL);
    await part.write(Buffer.from('{}'));
    const { file } = await uploads.complete(id, { partIds: [(await part.commit()).id], md5: null }, SEES_ALL);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 3 * 3600_000);
    await janitor(null).sweep();
    clock.mockRestore();
    expect(readdirSync(join(workspace.config.dataDir, 'uploads'))).toEqual([]);
    expect(await files.find(file?.id ?? '')).toMatchObject({ bytes: 2 });
  });
});
