import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileStore } from '../files/file-store';
import { uploadLimits } from '../files/upload';
import type { ObjectStore } from '../storage/object-store';
import { LocalStore } from '../storage/local-store';
import { SEES_ALL } from '../storage/owner';
import { storeKeys } from '../storage/store-keys';
import { makeDataDir } from '../storage/testing/data-dir';
import { UploadStore } from './upload-store';

const LIMITS = uploadLimits({ chunkRows: 100, rowsMax: 1e6, rowBytesMax: 1000, fileBytesMax: 1e9 });
const HOUR_MS = 3600_000;
const KILLS = 12;

describe('UploadStore', () => {
  let dataDir: ReturnType<typeof makeDataDir>;
  let store: LocalStore;
  let files: FileStore;
  let uploads: UploadStore;
  let freeBytes: number;

  beforeEach(() => {
    dataDir = makeDataDir();
    freeBytes = 1e9;
    store = new LocalStore(dataDir.path, { freeBytesMin: 1000, measure: async () => freeBytes });
    files = new FileStore(store, LIMITS);
    uploads = new UploadStore(store, files);
  });
  afterEach(() => {
    jest.restoreAllMocks();
    dataDir.remove();
  });

  const begin = (bytes: number, tenant = 'default') => uploads.create({ bytes, filename: 'rows.jsonl', tenant, expiresAfterSeconds: 3600 });

  async function addPart(uploadId: string, text: string | Buffer): Promise<string> {
    const part = await uploads.addPart(uploadId, 0, SEES_ALL);
    try {
      await part.write(Buffer.from(text));
      return (await part.commit()).id;
    } catch (error) {
      await part.discard();
      throw error;
    }
  }

  const complete = (uploadId: string, partIds: string[], md5: string | null = null) =>
    uploads.complete(uploadId, { partIds, md5 }, SEES_ALL);

  async function contentOf(fileId: string): Promise<string> {
    const record = await files.get(fileId, SEES_ALL);
    let text = '';
    for await (const bytes of files.openContent(record, { start: 0, end: record.bytes })) text += String(bytes);
    return text;
  }

  const later = (ms: number) => {
    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + ms);
  };
  const under = (path: string): string[] => (existsSync(join(dataDir.path, path)) ? readdirSync(join(dataDir.path, path)) : []);
  const digest = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('hex');

  it('makes a file of parts in the order of the completion, with its rows and checksum, and keeps no part', async () => {
    const text = '{"a":1}\n{"b":2}\n';
    const { id } = await begin(text.length);
    const second = await addPart(id, text.slice(5));
    const first = await addPart(id, text.slice(0, 5));
    expect(await uploads.get(id, SEES_ALL)).toMatchObject({
      status: 'pending',
      file: null,
      interleave: {
        parts: [
          { id: second, bytes: 11 },
          { id: first, bytes: 5 },
        ],
      },
    });
    const done = await complete(id, [first, second], digest('md5', text).toUpperCase());
    expect(done).toMatchObject({ status: 'completed', bytes: 16, file: { bytes: 16, interleave: { sha256: digest('sha256', text) } } });
    const fileId = done.file?.id ?? '';
    expect(await contentOf(fileId)).toBe(text);
    expect(await files.find(fileId)).toMatchObject({ rows: 2, filename: 'rows.jsonl', expiresAt: expect.any(Number) as number });
    expect([under(`uploads/${id}`), under('tmp')]).toEqual([['end.json', 'upload.json'], []]);
  });

  it('gives the same file when it is completed again, and no other', async () => {
    const { id } = await begin(2);
    const partId = await addPart(id, '{}');
    const [one, other] = await Promise.all([complete(id, [partId]), complete(id, [partId])]);
    expect(other).toEqual(one);
    expect(await complete(id, [partId])).toEqual(one);
    expect(await uploads.get(id, SEES_ALL)).toEqual(one);
    await expect(complete(id, ['part_x'])).rejects.toMatchObject({ code: 'conflict' });
    await expect(addPart(id, '{}')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('is completed') as string });
    await expect(uploads.cancel(id, SEES_ALL)).rejects.toMatchObject({ code: 'conflict' });
    await files.delete(one.file?.id ?? '', async () => false, SEES_ALL);
    expect(await complete(id, [partId])).toMatchObject({ status: 'completed', file: null });
    expect(under('files')).toEqual([]);
  });

  it('refuses parts that are not the file, and can then be completed all the same', async () => {
    const { id } = await begin(4);
    const [a, b] = [await addPart(id, '{}'), await addPart(id, '\n\n')];
    for (const [ids, md5, param] of [
      [[a], null, 'part_ids'],
      [[a, a], null, 'part_ids'],
      [[a, 'part_x'], null, 'part_ids'],
      [[a, b], '0'.repeat(32), 'md5'],
    ] as const)
      await expect(complete(id, [...ids], md5)).rejects.toMatchObject({ code: 'invalid_request', param });
    expect([under('files'), under('tmp')]).toEqual([[], []]);
    expect((await complete(id, [a, b])).file?.bytes).toBe(4);
  });

  it('refuses a file that no batch can read, and stays open', async () => {
    const { id } = await begin(1002);
    const partId = await addPart(id, `{}${'x'.repeat(1000)}`);
    await expect(complete(id, [partId])).rejects.toMatchObject({ code: 'too_large', message: expect.stringContaining('Line 1') as string });
    expect((await uploads.get(id, SEES_ALL)).status).toBe('pending');
    expect(under('tmp')).toEqual([]);
  });

  it('drops what is cancelled, also while it is completed', async () => {
    const bytes = 8 * 1024 * 1024;
    const { id } = await begin(bytes);
    const partId = await addPart(id, Buffer.alloc(bytes, '{}\n\n'));
    const completion = complete(id, [partId]);
    const outcome = completion.catch((error: Error) => error);
    const cancelled = await uploads.cancel(id, SEES_ALL).catch(() => null);
    if (cancelled === null) expect(await outcome).toMatchObject({ status: 'completed' });
    else {
      expect(cancelled.status).toBe('cancelled');
      expect(await outcome).toMatchObject({ code: 'conflict' });
      expect(await uploads.cancel(id, SEES_ALL)).toEqual(cancelled);
      expect([under('files'), under('tmp'), under(`uploads/${id}`)]).toEqual([[], [], ['end.json', 'upload.json']]);
    }
  });

  it('shows a tenant nothing of another', async () => {
    const { id } = await begin(2, 'a');
    const seesB = (tenant: string) => tenant === 'b';
    await expect(uploads.get(id, seesB)).rejects.toMatchObject({ code: 'not_found' });
    await expect(uploads.addPart(id, 0, seesB)).rejects.toMatchObject({ code: 'not_found' });
    await expect(uploads.complete(id, { partIds: ['part_x'], md5: null }, seesB)).rejects.toMatchObject({ code: 'not_found' });
    await expect(uploads.cancel(id, seesB)).rejects.toMatchObject({ code: 'not_found' });
    expect([await uploads.pendingBytes('a'), await uploads.pendingBytes('b')]).toEqual([2, 0]);
  });

  it.each(['../x', 'upload_', `upload_${'a'.repeat(31)}/`])('finds nothing under %p', async (id) => {
    await expect(uploads.get(id, SEES_ALL)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('takes no more than was announced, but for parts that are sent again', async () => {
    const { id } = await begin(4);
    await expect(uploads.addPart(id, 5, SEES_ALL)).rejects.toMatchObject({ code: 'too_large' });
    await expect(addPart(id, '12345')).rejects.toMatchObject({ code: 'too_large' });
    await expect(addPart(id, '')).rejects.toMatchObject({ code: 'invalid_request' });
    for (let again = 0; again < 3; again++) await addPart(id, '{}\n\n');
    await expect(begin(2e9)).rejects.toMatchObject({ code: 'too_large' });
  });

  it('is refused before the disk is full: at its beginning, in a part, in its completion', async () => {
    freeBytes = 20_999;
    await expect(begin(10_000)).rejects.toMatchObject({ code: 'storage_full', status: 507 });
    freeBytes = 21_000;
    const { id } = await begin(10_000);
    const partId = await addPart(id, Buffer.alloc(10_000, '{}\n\n'));
    freeBytes = 10_999;
    await expect(uploads.addPart(id, 10_000, SEES_ALL)).rejects.toMatchObject({ code: 'storage_full' });
    await expect(complete(id, [partId])).rejects.toMatchObject({ code: 'storage_full' });
    freeBytes = 11_000;
    expect((await complete(id, [partId])).status).toBe('completed');
  });

  it('ends an hour after its last part, and is gone an hour later', async () => {
    const { id } = await begin(4);
    later(0.9 * HOUR_MS);
    await addPart(id, '{}');
    later(0.9 * HOUR_MS);
    await uploads.sweep();
    await addPart(id, '\n\n');
    expect((await uploads.get(id, SEES_ALL)).status).toBe('pending');
    later(1.1 * HOUR_MS);
    expect((await uploads.get(id, SEES_ALL)).status).toBe('expired');
    await expect(addPart(id, '{}')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('is expired') as string });
    await expect(complete(id, ['part_x'])).rejects.toMatchObject({ code: 'conflict' });
    await uploads.sweep();
    expect(under('uploads')).toEqual([id]);
    later(HOUR_MS);
    await uploads.sweep();
    expect(under('uploads')).toEqual([]);
  });

  it('removes an upload that never got its record', async () => {
    const { id } = await begin(4);
    await addPart(id, '{}');
    await store.delete(storeKeys.upload(id).record);
    await uploads.sweep();
    expect(under('uploads')).toEqual([id]);
    later(2.1 * HOUR_MS);
    await uploads.sweep();
    expect(under('uploads')).toEqual([]);
  });

  it('is completed when the completion is asked again, whichever write of it failed', async () => {
    const text = '{"a":1}\n{"b":2}\n';
    let writes = 0;
    for (let failing = 1; ; failing++) {
      const { id } = await begin(text.length);
      const partIds = [await addPart(id, text.slice(0, 9)), await addPart(id, text.slice(9))];
      const broken = breakingAt(failing);
      const again = await new UploadStore(broken.store, new FileStore(broken.store, LIMITS))
        .complete(id, { partIds, md5: null }, SEES_ALL)
        .catch((error: Error) => error.message);
      if (typeof again !== 'string') break;
      writes += 1;
      expect(again).toBe('broken');
      const { file, status } = await complete(id, partIds);
      expect([status, await contentOf(file?.id ?? ''), under(`uploads/${id}`)]).toEqual(['completed', text, ['end.json', 'upload.json']]);
    }
    // Writer, two parts, end, index, content, record, marks and parts.
    expect(writes).toBe(9);
    expect(under('tmp')).toEqual([]);
  });

  /** The store, whose n-th write fails, and all after it: as for a process that is killed there. */
  function breakingAt(failing: number): { store: ObjectStore } {
    let writes = 0;
    const WRITES = ['put', 'putIfAbsent', 'putIfUnchanged', 'openWriter', 'append', 'commit', 'commitIfAbsent', 'delete', 'deleteAll'];
    const wrap = <T extends object>(target: T): T =>
      new Proxy(target, {
        get: (of, name) => {
          const member: unknown = Reflect.get(of, name);
          if (typeof member !== 'function') return member;
          return (...parameters: unknown[]): unknown => {
            if (WRITES.includes(String(name)) && ++writes >= failing) return Promise.reject(new Error('broken'));
            const result: unknown = Reflect.apply(member, of, parameters);
            return name === 'openWriter' ? (result as Promise<object>).then(wrap) : result;
          };
        },
      });
    return { store: wrap<ObjectStore>(store) };
  }

  it('is completed once whoever completes it is killed at any moment', async () => {
    const rows = 60_000;
    const text = Array.from({ length: rows }, (_, row) => `{"row":${row},"text":"${'x'.repeat(100)}"}\n`).join('');
    const { id } = await begin(text.length);
    const partIds: string[] = [];
    for (let at = 0; at < text.length; at += 500_000) partIds.push(await addPart(id, text.slice(at, at + 500_000)));
    const child = () =>
      fork(join(__dirname, 'testing', 'complete-until-killed.ts'), [dataDir.path, id, ...partIds], {
        execArgv: ['--require', join(__dirname, '../../../../test/fixtures/register-ts.cjs')],
        env: process.env,
      });
    let kills = 0;
    for (let attempt = 0; attempt < KILLS; attempt++) {
      const process = child();
      const exit = once(process, 'exit');
      await once(process, 'message');
      await sleep(attempt * 25);
      if (process.kill('SIGKILL')) kills += 1;
      await exit;
      const { status } = await uploads.get(id, SEES_ALL);
      expect(['pending', 'completed']).toContain(status);
    }
    expect(kills).toBeGreaterThan(2);
    const done = await complete(id, partIds);
    expect(done.status).toBe('completed');
    expect(await contentOf(done.file?.id ?? '')).toBe(text);
    expect(await files.find(done.file?.id ?? '')).toMatchObject({ rows });
    expect(under('files')).toHaveLength(1);
    expect(under(`uploads/${id}`)).toEqual(['end.json', 'upload.json']);
    for (const name of under('tmp')) utimesSync(join(dataDir.path, 'tmp', name), 0, 0);
    await store.sweep(HOUR_MS);
    expect(under('tmp')).toEqual([]);
  }, 120_000);
});
