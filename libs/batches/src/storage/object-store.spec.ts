import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { StorageLocation } from '@app/config';
import { FileStore } from '../files/file-store';
import { uploadLimits } from '../files/upload';
import { BatchStore } from '../manifests/batch-store';
import { IdempotencyKeys } from '../manifests/idempotency-keys';
import { newBatchId } from '../manifests/ids';
import { UploadStore } from '../uploads/upload-store';
import { checkRoom } from './disk-guard';
import { openStore } from './open-store';
import type { ObjectStore } from './object-store';
import { SEES_ALL } from './owner';
import { openS3Store } from './s3/open-s3-store';
import { proveConditions, StoreUnfit } from './s3/prove-conditions';
import { openS3Client } from './s3/s3-client';
import { S3Store } from './s3/s3-store';
import { makeDataDir } from './testing/data-dir';
import { findS3Server, TestS3Server, type S3ServerKind } from '../../../../test/support/s3-server';

const fail = (error: Error): never => {
  throw error;
};
const bytes = (text: string): Buffer => Buffer.from(text);
const MIB = 1024 * 1024;
const LIMITS = uploadLimits({ chunkRows: 2, rowsMax: 100, rowBytesMax: 100, fileBytesMax: 1000 });

async function textOf(parts: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const part of parts) text += Buffer.from(part).toString('latin1');
  return text;
}

/** What every driver must do; `open` gives where a store is, for as long as the tests run. */
function itIsAStore(open: () => Promise<{ storage: StorageLocation; close: () => Promise<void> | void }>): void {
  let storage: StorageLocation;
  let store: ObjectStore;
  let close: () => Promise<void> | void = () => undefined;
  let prefix: string;
  let tests = 0;

  beforeAll(async () => {
    ({ storage, close } = await open());
    store = await openStore({ storage, freeBytesMin: 0, onAway: fail });
  }, 90_000);
  beforeEach(() => (prefix = `test-${++tests}/`));
  afterAll(() => close());

  it('has what was put, whole, with its length and time', async () => {
    const key = `${prefix}a`;
    expect([await store.get(key), await store.head(key), await store.readTail(key, 3)]).toEqual([null, null, null]);
    for (const text of ['first', 'the second, longer']) {
      await store.put(key, bytes(text));
      expect((await store.get(key))?.bytes.toString()).toBe(text);
      expect((await store.head(key))?.byteCount).toBe(text.length);
    }
    expect(Math.abs(Date.now() - ((await store.head(key))?.modifiedMs ?? 0))).toBeLessThan(60_000);
    expect((await store.get(key))?.modifiedMs).toBe((await store.head(key))?.modifiedMs);
  });

  it('has objects without bytes', async () => {
    await store.put(`${prefix}a`, new Uint8Array());
    expect((await store.get(`${prefix}a`))?.bytes).toHaveLength(0);
    expect(await store.readTail(`${prefix}a`, 3)).toHaveLength(0);
    expect(await textOf(store.read(`${prefix}a`, { start: 0, end: 0 }))).toBe('');
  });

  it('reads ranges and tails', async () => {
    const key = `${prefix}a`;
    await store.put(key, bytes('0123456789'));
    expect(await textOf(store.read(key, { start: 0, end: 10 }))).toBe('0123456789');
    expect(await textOf(store.read(key, { start: 3, end: 4 }))).toBe('3');
    expect(await textOf(store.read(key, { start: 4, end: 4 }))).toBe('');
    expect((await store.readTail(key, 4))?.toString()).toBe('6789');
    expect((await store.readTail(key, 40))?.toString()).toBe('0123456789');
    await expect(textOf(store.read(key, { start: 5, end: 11 }))).rejects.toThrow();
    await expect(textOf(store.read(`${prefix}b`, { start: 0, end: 1 }))).rejects.toThrow();
  });

  it('makes an object once, however many want to', async () => {
    const key = `${prefix}a`;
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => store.putIfAbsent(key, bytes(`writer ${index}`))));
    expect(answers.filter((isFirst) => isFirst)).toHaveLength(1);
    expect((await store.get(key))?.bytes.toString()).toBe(`writer ${answers.indexOf(true)}`);
  });

  it('replaces only the version that was read, however many want to', async () => {
    const key = `${prefix}a`;
    await store.put(key, bytes('0'));
    const counts = await Promise.all(
      Array.from({ length: 6 }, async (_, writer) => {
        let lost = 0;
        for (let done = 0; done < 3;) {
          const read = await store.get(key);
          if (read === null) throw new Error('gone');
          const [count = ''] = read.bytes.toString().split(' ');
          const next = await store.putIfUnchanged(key, bytes(`${Number(count) + 1} ${writer}`), read.version);
          if (next === null) lost += 1;
          else done += 1;
        }
        return lost;
      }),
    );
    expect((await store.get(key))?.bytes.toString()).toMatch(/^18 /);
    expect(Math.max(...counts)).toBeGreaterThan(0);
  });

  it('goes on from the version that a replacement gives', async () => {
    const key = `${prefix}a`;
    await store.put(key, bytes('1'));
    const first = (await store.get(key))?.version ?? '';
    const second = await store.putIfUnchanged(key, bytes('2'), first);
    expect(await store.putIfUnchanged(key, bytes('3'), first)).toBeNull();
    expect(await store.putIfUnchanged(key, bytes('4'), second ?? '')).not.toBeNull();
    await store.delete(key);
    expect(await store.putIfUnchanged(key, bytes('5'), second ?? '')).toBeNull();
    expect(await store.get(key)).toBeNull();
  });

  it.each([0, 1, 9 * MIB, 16 * MIB])('writes %i bytes in parts, and shows none before the commit', async (byteCount) => {
    const key = `${prefix}a`;
    const writer = await store.openWriter(key);
    const part = Buffer.alloc(3 * MIB);
    for (let at = 0; at < byteCount; at += part.length) {
      // One buffer for all: who appends may use it again.
      part.fill(at / part.length + 65);
      await writer.append(part.subarray(0, Math.min(part.length, byteCount - at)));
    }
    expect([await store.head(key), await store.listNames(prefix)]).toEqual([null, []]);
    await writer.commit();
    await writer.discard();
    expect((await store.head(key))?.byteCount).toBe(byteCount);
    if (byteCount > 4 * MIB) expect(await textOf(store.read(key, { start: 3 * MIB - 1, end: 3 * MIB + 1 }))).toBe('AB');
  });

  it.each([1, 9 * MIB])('commits the first of several writers of %i bytes', async (byteCount) => {
    const key = `${prefix}a`;
    const writers = await Promise.all(['a', 'b', 'c'].map(async (name) => ({ name, writer: await store.openWriter(key) })));
    for (const { name, writer } of writers) await writer.append(Buffer.alloc(byteCount, name));
    const answers = await Promise.all(writers.map(({ writer }) => writer.commitIfAbsent()));
    for (const { writer } of writers) await writer.discard();
    expect(answers.filter((isFirst) => isFirst)).toHaveLength(1);
    expect((await store.readTail(key, 1))?.toString()).toBe(writers[answers.indexOf(true)]?.name);
  });

  it('leaves nothing of what is discarded', async () => {
    const writer = await store.openWriter(`${prefix}a`);
    await writer.append(Buffer.alloc(9 * MIB));
    await writer.discard();
    await writer.discard();
    expect(await store.listNames(prefix)).toEqual([]);
  });

  it('shows nothing of a writer that is killed', async () => {
    const registerTs = join(__dirname, '../../../../test/fixtures/register-ts.cjs');
    const key = `${prefix}a`;
    const child = fork(join(__dirname, 'testing', 'write-until-killed.ts'), [JSON.stringify(storage), key], {
      execArgv: ['--require', registerTs],
      env: process.env,
    });
    for (let parts = 0; parts < 12; parts++) await once(child, 'message');
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    expect([await store.head(key), await store.listNames(prefix)]).toEqual([null, []]);
    await sleep(1100); // times of S3 are whole seconds
    await store.sweep(0);
    expect(await store.head(key)).toBeNull();
  }, 60_000);

  it('takes files in parts, and the same completion again', async () => {
    const files = new FileStore(store, LIMITS);
    const uploads = new UploadStore(store, files);
    const { id } = await uploads.create({ bytes: 6, filename: 'a', tenant: 'a', expiresAfterSeconds: null });
    const add = async (text: string): Promise<string> => {
      const part = await uploads.addPart(id, text.length, SEES_ALL);
      await part.write(bytes(text));
      return (await part.commit()).id;
    };
    const partIds = await Promise.all([add('{}\n'), add('\n{}')]);
    const complete = () => uploads.complete(id, { partIds, md5: null }, SEES_ALL);
    const { file } = await complete();
    expect(await complete()).toMatchObject({ status: 'completed', file });
    const record = await files.get(file?.id ?? '', SEES_ALL);
    expect([record.rows, await textOf(files.openContent(record, { start: 0, end: 6 }))]).toEqual([2, '{}\n\n{}']);
    expect(await store.listNames(`uploads/${id}/`)).toEqual(['end.json', 'upload.json']);
    await expect(uploads.cancel(id, SEES_ALL)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('gives one of many requests the key', async () => {
    const keys = new IdempotencyKeys(store, new BatchStore(store));
    const claim = () => keys.claim('a', prefix, bytes('{}'));
    const claims = (await Promise.allSettled(Array.from({ length: 8 }, claim))).flatMap((end) =>
      end.status === 'fulfilled' ? [end.value] : [],
    );
    expect(claims).toHaveLength(1);
    const [first] = claims;
    if (first === undefined || typeof first === 'string') throw new Error('expected a claim');
    expect([await first.release(), await first.release()]).toEqual([true, false]);
    expect(typeof (await claim())).toBe('object');
  });

  it('lists objects and folders by name, without what is below them', async () => {
    const keys = ['b', 'a', 'c/x', 'c/y/z', 'a-', 'c.d', 'Z'];
    for (const key of keys) await store.put(`${prefix}${key}`, bytes('.'));
    expect(await store.listNames(prefix)).toEqual(['Z', 'a', 'a-', 'b', 'c', 'c.d']);
    expect(await store.listNames(`${prefix}c/`)).toEqual(['x', 'y']);
    expect(await store.listNames(`${prefix}none/`)).toEqual([]);
  });

  it('deletes all below a prefix, but not what only looks alike', async () => {
    const names = Array.from({ length: 30 }, (_, index) => String(index).padStart(5, '0'));
    await Promise.all(names.map((name) => store.put(`${prefix}many/${name}`, bytes('.'))));
    await store.put(`${prefix}many-more`, bytes('.'));
    expect(await store.listNames(`${prefix}many/`)).toEqual(names);
    await store.deleteAll(`${prefix}many/`);
    await store.deleteAll(`${prefix}many/`);
    expect(await store.listNames(prefix)).toEqual(['many-more']);
  });

  it('deletes, also what is not there', async () => {
    await store.put(`${prefix}a`, bytes('.'));
    for (let times = 0; times < 2; times++) await store.delete(`${prefix}a`);
    await store.delete(`${prefix}none/a`);
    expect(await store.get(`${prefix}a`)).toBeNull();
  });

  it.each(['', '..', 'a/../b', '/a', 'a//b', 'a/', 'a\0', 'a b', 'é', '.a', 'a.tmp', 'x/y.tmp/z', 'a'.repeat(600)])(
    'takes %j for no key',
    async (key) => {
      await expect((async () => store.get(key))()).rejects.toThrow('expected a key');
      await expect((async () => store.put(key, bytes('.')))()).rejects.toThrow('expected a key');
      await expect((async () => store.deleteAll(`${key}/`))()).rejects.toThrow('expected a key');
      await expect((async () => store.deleteAll('a'))()).rejects.toThrow('expected a prefix');
    },
  );

  it('deletes a file or lets a batch use it, never both', async () => {
    const files = new FileStore(store, LIMITS);
    const isOpen = new Set<string>();
    for (let round = 0; round < 8; round++) {
      const upload = await files.beginUpload(0);
      await upload.write(bytes('{}'));
      const { id } = await upload.commit({ filename: 'a', purpose: 'batch', tenant: 'default', expiresAfterSeconds: null });
      const batchId = newBatchId();
      const using = (async () => {
        await sleep(round);
        await files.addUse(id, batchId);
        isOpen.add(batchId);
        if (await files.mayUse(id)) return true;
        isOpen.delete(batchId);
        return false;
      })().catch(() => false);
      const deleting = [0, 1].map(() =>
        files
          .delete(id, async (user) => isOpen.has(user), SEES_ALL)
          .then(
            () => true,
            () => false,
          ),
      );
      const [isUsed, ...deletions] = await Promise.all([using, ...deleting]);
      const isThere = (await files.find(id)) !== null;
      // Who used it still has it; and it is gone if somebody was told so.
      if (isUsed) expect(isThere).toBe(true);
      expect(isThere).toBe(!deletions.includes(true));
    }
  }, 60_000);
}

describe('a directory as the store', () => {
  itIsAStore(async () => {
    const dataDir = makeDataDir();
    return { storage: { kind: 'directory', path: dataDir.path }, close: dataDir.remove };
  });
});

for (const kind of ['moto', 'versitygw'] satisfies S3ServerKind[]) {
  const describeIfThere = findS3Server(kind) === null ? describe.skip : describe;
  describeIfThere(`a bucket of ${kind} as the store`, () => {
    itIsAStore(async () => {
      const server = await TestS3Server.start(kind);
      return { storage: server.location, close: () => server.remove() };
    });
  });

  describeIfThere(`a bucket of ${kind}`, () => {
    let server: TestS3Server;
    beforeAll(async () => (server = await TestS3Server.start(kind)), 90_000);
    afterAll(() => server.remove());

    it('is listed page by page', async () => {
      const store = new S3Store(await openS3Client(server.location), server.location, { pageKeys: 3 });
      for (const name of ['a', 'b/x', 'b/y', 'c', 'd/x', 'e', 'f', 'g']) await store.put(`list/${name}`, bytes('.'));
      expect(await store.listNames('list/')).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
      await store.deleteAll('list/');
      expect(await store.listNames('list/')).toEqual([]);
    });

    it('removes uploads that nobody completed, once they are old', async () => {
      const client = await openS3Client(server.location);
      const store = new S3Store(client, server.location, { partBytes: 1 });
      const writer = await store.openWriter('left');
      await writer.append(bytes('x'));
      const uploads = async () => (await client.send(new ListMultipartUploadsCommand({ Bucket: server.location.bucket }))).Uploads ?? [];
      // moto says of every upload that it is of 2010.
      if (kind !== 'moto') await store.sweep(60_000);
      expect(await uploads()).toHaveLength(1);
      await sleep(1100); // times of S3 are whole seconds
      await store.sweep(0);
      expect(await uploads()).toEqual([]);
      await expect(writer.commit()).rejects.toMatchObject({ code: 'storage_unavailable' });
    });

    it('is storage_unavailable while it is away, and comes back', async () => {
      const store = await openS3Store(server.location, fail);
      await store.put('a', bytes('1'));
      expect(await store.refusal()).toBeNull();
      await server.kill();
      await expect(store.get('a')).rejects.toMatchObject({ code: 'storage_unavailable', status: 503, retryAfterSeconds: 5 });
      expect(await store.refusal()).toContain('ECONNREFUSED');
      await expect(checkRoom(store, 0)).rejects.toMatchObject({ code: 'storage_unavailable' });
      const away: Error[] = [];
      const opened = await openS3Store(server.location, (error) => away.push(error));
      expect(away).toMatchObject([{ code: 'storage_unavailable', message: expect.not.stringContaining('test-secret') }]);
      await expect(opened.put('b', bytes('2'))).rejects.toMatchObject({ code: 'storage_unavailable' });
      await server.launch();
      await opened.put('b', bytes('2'));
      expect((await store.get('b'))?.bytes.toString()).toBe('2');
      expect(await store.refusal()).toBeNull();
    }, 90_000);

    it('refuses while its bucket is missing, however often it is asked', async () => {
      const store = new S3Store(await openS3Client(server.location), { ...server.location, bucket: 'missing' });
      await expect(store.get('a')).rejects.toMatchObject({ code: 'storage_unavailable' });
      for (let times = 0; times < 2; times++) expect(await store.refusal()).toContain('NoSuchBucket');
    });

    it.each(['If-None-Match', 'If-Match', 'If-None-Match when a multipart upload is completed'])(
      'is refused when it ignores %s',
      async (what) => {
        const store = new S3Store(await openS3Client(server.location), server.location, { partBytes: 1 });
        const careless = Object.create(store) as S3Store;
        if (what === 'If-None-Match') careless.putIfAbsent = (key, text) => store.put(key, text).then(() => true);
        if (what === 'If-Match') careless.putIfUnchanged = (key, text) => store.put(key, text).then(() => 'version');
        if (what.endsWith('completed'))
          careless.openWriter = async (key) => {
            const writer = await store.openWriter(key);
            return {
              ...writer,
              append: (part) => writer.append(part),
              discard: () => writer.discard(),
              commit: () => writer.commit(),
              commitIfAbsent: () => writer.commit().then(() => true),
            };
          };
        await expect(proveConditions(careless)).rejects.toThrow(StoreUnfit);
        await expect(proveConditions(careless)).rejects.toThrow(`the store ignores ${what === 'If-Match' ? what : 'If-None-Match: *'}`);
      },
    );
  });
}
