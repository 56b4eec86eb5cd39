import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalStore } from '../storage/local-store';
import { SEES_ALL } from '../storage/owner';
import { FileStore } from './file-store';
import { isFileId, newBatchId, newFileId } from '../manifests/ids';
import { makeDataDir } from '../storage/testing/data-dir';
import { uploadLimits } from './upload';

const LIMITS = uploadLimits({ chunkRows: 2, rowsMax: 100, rowBytesMax: 100, fileBytesMax: 1000 });
const nobody = async () => false;

describe('FileStore', () => {
  let dataDir: ReturnType<typeof makeDataDir>;
  let files: FileStore;
  let freeBytes: number;

  beforeEach(async () => {
    dataDir = makeDataDir();
    mkdirSync(join(dataDir.path, 'files'));
    mkdirSync(join(dataDir.path, 'tmp'));
    freeBytes = 1e9;
    files = new FileStore(new LocalStore(dataDir.path, { freeBytesMin: 1000, measure: async () => freeBytes }), LIMITS);
  });
  afterEach(() => dataDir.remove());

  async function store(text: string, expiresAfterSeconds: number | null = null, tenant = 'default'): Promise<string> {
    const upload = await files.beginUpload(0);
    await upload.write(Buffer.from(text));
    return (await upload.commit({ filename: 'a.jsonl', purpose: 'batch', tenant, expiresAfterSeconds })).id;
  }

  const stored = () => [...readdirSync(join(dataDir.path, 'files')), ...readdirSync(join(dataDir.path, 'tmp'))];

  it('stores bytes, rows and chunks', async () => {
    const id = await store('{"a":1}\n\n{"b":2}\n{"c":3}');
    const record = await files.get(id, SEES_ALL);
    let text = '';
    for await (const part of files.openContent(record, { start: 8, end: 17 })) text += String(part);
    expect(record).toMatchObject({ bytes: 24, rows: 3, filename: 'a.jsonl', purpose: 'batch', expiresAt: null });
    expect((await files.readChunkTable(record)).chunkCount).toBe(2);
    expect(text).toBe('\n{"b":2}\n');
  });

  it('shows nothing of an upload before it is committed, and leaves nothing of one that is discarded', async () => {
    const upload = await files.beginUpload(0);
    await upload.write(Buffer.from('{}'));
    expect((await files.list({ limit: 10, order: 'asc', after: null }, null, SEES_ALL)).data).toEqual([]);
    await upload.discard();
    expect(stored()).toEqual([]);
  });

  it('refuses what is over the limits', async () => {
    const upload = await files.beginUpload(0);
    await expect(upload.write(Buffer.alloc(1001, '\n'))).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringContaining('1000 bytes'),
    });
    await upload.discard();
  });

  it('refuses an upload that cannot fit, before and while it comes in', async () => {
    freeBytes = 5000;
    await expect(files.beginUpload(4001)).rejects.toMatchObject({ code: 'storage_full', status: 507 });
    const upload = await files.beginUpload(4000);
    freeBytes = 999;
    await expect(upload.write(Buffer.from('{}'))).rejects.toMatchObject({ code: 'storage_full' });
    await upload.discard();
  });

  it('lists by age in both directions, a page at a time', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      ids.push(await store('{}'));
      // Ids sort by their millisecond.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const page = async (order: 'asc' | 'desc', after: string | null) => {
      const { data, hasMore } = await files.list({ limit: 2, order, after }, 'batch', SEES_ALL);
      return [data.map(({ id }) => ids.indexOf(id)), hasMore];
    };
    expect(await page('desc', null)).toEqual([[4, 3], true]);
    expect(await page('desc', ids[3] ?? null)).toEqual([[2, 1], true]);
    expect(await page('asc', ids[2] ?? null)).toEqual([[3, 4], false]);
    expect((await files.list({ limit: 2, order: 'asc', after: null }, 'batch_output', SEES_ALL)).data).toEqual([]);
  });

  it.each(['../files', 'file-', 'file-../../etc/passwd', `file-${'A'.repeat(32)}`, `${newFileId()}/content`, ''])(
    'finds nothing under %p',
    async (id) => {
      expect(isFileId(id)).toBe(false);
      await expect(files.get(id, SEES_ALL)).rejects.toMatchObject({ code: 'not_found', status: 404 });
    },
  );

  it('keeps a file while a batch uses it, and deletes it afterwards', async () => {
    const id = await store('{}');
    await files.addUse(id, 'batch_1');
    await expect(files.delete(id, async (batchId) => batchId === 'batch_1', SEES_ALL)).rejects.toMatchObject({
      code: 'conflict',
      status: 409,
    });
    await files.get(id, SEES_ALL);
    await files.delete(id, nobody, SEES_ALL);
    expect(stored()).toEqual([]);
    await expect(files.addUse(id, 'batch_2')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('gives a file back when a batch comes while it is being deleted', async () => {
    const id = await store('{}');
    let looks = 0;
    await files.addUse(id, 'batch_1');
    await expect(files.delete(id, async () => ++looks > 1, SEES_ALL)).rejects.toMatchObject({ code: 'conflict' });
    expect((await files.get(id, SEES_ALL)).id).toBe(id);
  });

  it('sweeps what expired unless a batch uses it, and what killed uploads left', async () => {
    const expired = await store('{}', -1);
    const used = await store('{}', -1);
    const kept = await store('{}', 3600);
    await files.addUse(used, 'batch_1');
    for (const [name, hoursAgo] of [
      ['file-old.tmp', 2],
      ['file-new.tmp', 0],
    ] as const) {
      mkdirSync(join(dataDir.path, 'files', name));
      utimesSync(join(dataDir.path, 'files', name), new Date(), new Date(Date.now() - hoursAgo * 3_600_000));
    }
    expect(await files.sweep(async (batchId) => batchId === 'batch_1')).toEqual([expired]);
    expect(stored().sort()).toEqual([used, kept, 'file-new.tmp'].sort());
    await expect(files.get(used, SEES_ALL)).rejects.toMatchObject({ code: 'not_found' });
  });

  describe('after a kill', () => {
    const HOUR_MS = 3_600_000;

    /** The file's objects, and the folder they are in, as of some hours ago; the id too. */
    function age(id: string, names: string[], hours: number): string {
      const then = new Date(Date.now() - hours * HOUR_MS);
      for (const name of names) utimesSync(join(dataDir.path, 'files', id, name), then, then);
      const old = id.replace(/-.{9}/, `-${then.getTime().toString(36).padStart(9, '0')}`);
      renameSync(join(dataDir.path, 'files', id), join(dataDir.path, 'files', old));
      return old;
    }

    it('of a deletion: no batch may use the file, nobody else goes on from it, and a sweep after an hour does', async () => {
      const [young, old] = [await store('{}'), await store('{}')];
      for (const id of [young, old]) writeFileSync(join(dataDir.path, 'files', id, 'deleted'), '');
      await expect(files.addUse(young, newBatchId())).rejects.toMatchObject({ code: 'not_found' });
      await expect(files.delete(young, nobody, SEES_ALL)).rejects.toMatchObject({ code: 'conflict' });
      utimesSync(join(dataDir.path, 'files', old, 'deleted'), new Date(0), new Date(0));
      await files.sweep(nobody);
      expect(stored()).toEqual([young]);
    });

    it('of a deletion of a file that a batch uses: the file is given back after an hour', async () => {
      const id = await store('{}');
      const batchId = newBatchId();
      await files.addUse(id, batchId);
      writeFileSync(join(dataDir.path, 'files', id, 'deleted'), '');
      utimesSync(join(dataDir.path, 'files', id, 'deleted'), new Date(0), new Date(0));
      await files.sweep(async (user) => user === batchId);
      expect(await files.mayUse(id)).toBe(true);
    });

    it('of an upload before its record: a sweep removes it once all of it is old', async () => {
      const ids = [await store('{}'), await store('{}'), await store('{}')];
      for (const id of ids) rmSync(join(dataDir.path, 'files', id, 'file.json'));
      const [, slow] = [age(ids[0] ?? '', ['content', 'lines.idx'], 2), age(ids[1] ?? '', ['content'], 2)];
      await files.sweep(nobody);
      expect(stored().sort()).toEqual([slow, ids[2]].sort());
    });
  });

  it('keeps what a tenant has from the others, also from deletion', async () => {
    const id = await store('{}', null, 'a');
    const seesB = (tenant: string) => tenant === 'b';
    await expect(files.get(id, seesB)).rejects.toMatchObject({ code: 'not_found' });
    await expect(files.delete(id, nobody, seesB)).rejects.toMatchObject({ code: 'not_found' });
    const page = { limit: 2, order: 'asc', after: null } as const;
    expect((await files.list(page, null, seesB)).data).toEqual([]);
    expect((await files.list(page, null, (tenant) => tenant === 'a')).data).toMatchObject([{ id, tenant: 'a' }]);
  });

  describe('reads records of other versions', () => {
    async function rewrite(changes: object): Promise<string> {
      const id = await store('{}', -1);
      const path = join(dataDir.path, 'files', id, 'file.json');
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }));
      return id;
    }

    it('without a tenant: they are of the default one', async () => {
      expect((await files.find(await rewrite({ tenant: undefined })))?.tenant).toBe('default');
    });

    it.each([4, '1', undefined])('not with formatVersion %j, which is said', async (formatVersion) => {
      const id = await rewrite({ formatVersion });
      await expect(files.find(id)).rejects.toThrow(/file\.json: expected formatVersion 1 or 2 or 3 but received .+; use the version/);
      const expired = await store('{}', -1);
      expect(await files.sweep(nobody)).toEqual([expired]);
    });
  });
});
