import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BatchStore, ManifestChanged } from './batch-store';
import { toBatchView } from './batch-view';
import { PAUSED_BY_REQUEST } from './control';
import { newBatchId, newFileId } from './ids';
import { LocalStore } from '../storage/local-store';
import { SEES_ALL } from '../storage/owner';
import { storeKeys } from '../storage/store-keys';
import { newManifest, type Manifest } from './manifest';
import { makeDataDir } from '../storage/testing/data-dir';

function manifest(createdAtMs: number): Manifest {
  const createdAt = Math.floor(createdAtMs / 1000);
  return newManifest({
    batchId: newBatchId(createdAtMs),
    tenant: 'default',
    models: null,
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
  const store = new LocalStore(dataDir.path);
  const batches = new BatchStore(store);
  afterAll(() => dataDir.remove());

  it('gives back what it was given, in the shape of the API', async () => {
    const created = manifest(1_800_000_000_000);
    await batches.create(created);
    expect(await batches.read(created.batch.id)).toEqual(created);
    expect(await batches.get(created.batch.id, SEES_ALL)).toEqual(toBatchView(created, null));
    expect(readdirSync(join(dataDir.path, 'batches', created.batch.id))).toEqual(['manifest.json']);
    expect(await batches.listOpenIds()).toEqual([created.batch.id]);
  });

  it('closes a batch that retries one whose record cannot be read', async () => {
    const [source, retry] = [manifest(1_800_000_000_100), manifest(1_800_000_000_200)];
    await batches.create(source);
    await batches.addRetry(source.batch.id, retry.batch.id);
    await batches.create({ ...retry, retryOf: source.batch.id });
    await store.put(storeKeys.batch(source.batch.id).manifest, Buffer.from('{'));
    await batches.close(retry.batch.id);
    expect(await batches.listOpenIds()).not.toContain(retry.batch.id);
    expect(await batches.listRetryIds(source.batch.id)).toEqual([]);
    await batches.remove(source.batch.id);
    await batches.remove(retry.batch.id);
  });

  it.each([
    [null, undefined],
    [PAUSED_BY_REQUEST, undefined],
    ['Redis is not reachable', 'Redis is not reachable'],
  ])('shows a cancel that the runner has not seen yet, of a batch that is paused by %j', async (paused, shown) => {
    const created = manifest(1_800_000_001_000);
    created.paused = paused;
    await batches.create(created);
    await batches.changeControl(created, { isPaused: true });
    await batches.requestCancel(created.batch.id);
    const askedAt = await batches.cancelRequestedAt(created.batch.id);
    await batches.requestCancel(created.batch.id);
    const view = await batches.get(created.batch.id, SEES_ALL);
    expect(view).toMatchObject({ status: 'cancelling', cancelling_at: askedAt });
    expect(view.interleave.paused).toBe(shown);
  });

  it('does not show a cancel that came too late', async () => {
    const created = manifest(1_800_000_002_000);
    created.batch.status = 'completed';
    await batches.create(created);
    await batches.requestCancel(created.batch.id);
    expect((await batches.get(created.batch.id, SEES_ALL)).status).toBe('completed');
  });

  it('lists the newest first', async () => {
    const { data, hasMore } = await batches.list({ limit: 2, order: 'desc', after: null }, SEES_ALL);
    expect(data.map(({ created_at: createdAt }) => createdAt)).toEqual([1_800_000_002, 1_800_000_001]);
    expect(hasMore).toBe(true);
  });

  it.each(['..', 'batch_', 'batch_../../x', `batch_${'a'.repeat(31)}.`])('finds nothing under %p', async (id) => {
    await expect(batches.get(id, SEES_ALL)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('keeps what a tenant has from the others', async () => {
    const created = { ...manifest(1_800_000_003_000), tenant: 'a' };
    await batches.create(created);
    const seesB = (tenant: string) => tenant === 'b';
    await expect(batches.get(created.batch.id, seesB)).rejects.toMatchObject({ code: 'not_found' });
    expect((await batches.list({ limit: 9, order: 'desc', after: null }, seesB)).data).toEqual([]);
    expect((await batches.list({ limit: 9, order: 'desc', after: null }, (tenant) => tenant === 'a')).data).toEqual([
      toBatchView(created, null),
    ]);
  });

  it('reads a manifest without a tenant as one of the default tenant, for all models', async () => {
    const { tenant: _tenant, models: _models, ...former } = manifest(1_800_000_004_000);
    await batches.create(former as Manifest);
    expect(await batches.read(former.batch.id)).toMatchObject({ tenant: 'default', models: null });
  });

  it('marks the open batches of a release without marks, once', async () => {
    const [open, done] = [manifest(1_800_000_006_000), manifest(1_800_000_007_000)];
    done.batch.status = 'completed';
    for (const { batch } of [open, done]) {
      await batches.create(batch.id === open.batch.id ? open : done);
      await batches.close(batch.id);
    }
    await batches.upgrade();
    const ids = await batches.listOpenIds();
    expect([ids.includes(open.batch.id), ids.includes(done.batch.id)]).toEqual([true, false]);
    await batches.close(open.batch.id);
    await batches.upgrade();
    expect(await batches.listOpenIds()).not.toContain(open.batch.id);
  });

  it('knows the open batches of a release without marks before they have theirs', async () => {
    const former = makeDataDir();
    const batches = new BatchStore(new LocalStore(former.path));
    const [open, done] = [manifest(1_800_000_006_000), manifest(1_800_000_007_000)];
    done.batch.status = 'completed';
    for (const each of [open, done]) {
      await batches.create(each);
      await batches.close(each.batch.id);
    }
    const areOpen = () => Promise.all([open, done].map(({ batch }) => batches.isOpen(batch.id)));
    expect(await areOpen()).toEqual([true, false]);
    await batches.upgrade();
    expect(await areOpen()).toEqual([true, false]);
    await batches.close(open.batch.id);
    expect(await areOpen()).toEqual([false, false]);
    former.remove();
  });

  it('removes what a former release kept of chunks in an upgrade, and nothing that output files of this one are made of', async () => {
    const dataDir = makeDataDir();
    const store = new LocalStore(dataDir.path);
    const batches = new BatchStore(store);
    const [former, ours] = [manifest(1_800_000_006_000), manifest(1_800_000_007_000)];
    for (const { batch } of [former, ours]) await store.put(`batches/${batch.id}/chunks/0`, Buffer.from('a'));
    await store.put(`batches/${ours.batch.id}/results.idx`, Buffer.alloc(32));
    for (const each of [former, ours]) await batches.create({ ...each, batch: { ...each.batch, status: 'completed' } });
    await batches.upgrade();
    const chunks = await Promise.all([former, ours].map(({ batch }) => store.listNames(`batches/${batch.id}/chunks/`)));
    expect(chunks).toEqual([[], ['0']]);
    expect(await store.head(`batches/${ours.batch.id}/results.idx`)).not.toBeNull();
    dataDir.remove();
  });

  it('replaces a manifest of the version that was read, and tells who comes late', async () => {
    const created = manifest(1_800_000_008_000);
    await batches.create(created);
    const { version } = (await batches.readForUpdate(created.batch.id)) ?? { version: '' };
    const next = await batches.update({ ...created, paused: 'mine' }, version);
    await expect(batches.update({ ...created, paused: 'late' }, version)).rejects.toBeInstanceOf(ManifestChanged);
    await batches.update({ ...created, paused: 'mine again' }, next);
    expect((await batches.read(created.batch.id))?.paused).toBe('mine again');
    await batches.remove(created.batch.id);
    await expect(batches.update(created, next)).rejects.toBeInstanceOf(ManifestChanged);
    expect([await batches.read(created.batch.id), (await batches.listOpenIds()).includes(created.batch.id)]).toEqual([null, false]);
  });

  it.each(['{', 'null', '', '{"formatVersion":9}', '{"formatVersion":1}', '7'])(
    'leaves a manifest that is %j out of lists, and reads the others',
    async (text) => {
      const dataDir = makeDataDir();
      const store = new LocalStore(dataDir.path);
      const batches = new BatchStore(store);
      const [good, odd] = [manifest(1_800_000_006_000), newBatchId()];
      await batches.create(good);
      await store.put(`batches/${odd}/manifest.json`, Buffer.from(text));
      expect((await batches.list({ limit: 9, order: 'desc', after: null }, SEES_ALL)).data).toEqual([toBatchView(good, null)]);
      await expect(batches.get(odd, SEES_ALL)).rejects.toThrow(`batches/${odd}/manifest.json: expected `);
      dataDir.remove();
    },
  );

  it('removes what never got a manifest, once it is old', async () => {
    const [old, young] = [newBatchId(Date.now() - 60_000), newBatchId()];
    for (const id of [old, young]) await store.put(`open/${id}`, Buffer.alloc(0));
    await batches.removeAbandoned(30_000);
    const ids = await batches.listOpenIds();
    expect([ids.includes(old), ids.includes(young)]).toEqual([false, true]);
  });

  it('removes what is left of a batch whose deletion was killed or met another write, once it is old, and no batch that is over', async () => {
    const [old, over] = [newBatchId(Date.now() - 60_000), manifest(Date.now() - 60_000)];
    const left = [old, newBatchId()];
    for (const id of left) await store.put(`batches/${id}/control.json`, Buffer.from('{}'));
    over.batch.status = 'completed';
    await batches.create(over);
    await batches.close(over.batch.id);
    await batches.removeAbandoned(30_000);
    const ids = await batches.listIds();
    expect([...left, over.batch.id].map((id) => ids.includes(id))).toEqual([false, true, true]);
  });

  it.each([3, undefined])('does not guess at formatVersion %j', async (formatVersion) => {
    const foreign = { ...manifest(1_800_000_005_000), formatVersion } as unknown as Manifest;
    await batches.create(foreign);
    await expect(batches.read(foreign.batch.id)).rejects.toThrow(/manifest\.json: expected formatVersion 1 or 2 but received/);
    await batches.remove(foreign.batch.id);
  });
});
