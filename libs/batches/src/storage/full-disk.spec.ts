import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileStore } from '../files/file-store';
import { uploadLimits } from '../files/upload';
import { BatchStore } from '../manifests/batch-store';
import { newBatchId, newFileId } from '../manifests/ids';
import { newManifest } from '../manifests/manifest';
import { UploadStore } from '../uploads/upload-store';
import { LocalStore, type LocalStoreOptions } from './local-store';
import { SEES_ALL } from './owner';

const MiB = 1024 * 1024;
const DISK_BYTES = 8 * MiB;
const LIMITS = uploadLimits({ chunkRows: 100, rowsMax: 1e7, rowBytesMax: 1000, fileBytesMax: 1e9 });
/** What a guard says that did not see it coming. */
const BLIND: LocalStoreOptions = { measure: async () => Infinity };

const mount = (path: string): boolean => spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'none', path]).status === 0;
const unmount = (path: string): boolean => spawnSync('umount', [path]).status === 0;

function mayMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'il-mount-'));
  const isMounted = mount(path);
  if (isMounted) unmount(path);
  rmSync(path, { recursive: true });
  return isMounted;
}

(mayMount() ? describe : describe.skip)('on a disk that is full', () => {
  let path: string;
  const ballast = () => join(path, 'ballast');

  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'il-full-'));
    mount(path);
  });
  afterEach(() => {
    unmount(path);
    rmSync(path, { recursive: true });
  });

  function open(options: LocalStoreOptions) {
    const store = new LocalStore(path, options);
    const files = new FileStore(store, LIMITS);
    return { store, files, uploads: new UploadStore(store, files), batches: new BatchStore(store) };
  }

  function leaveFree(bytes: number): void {
    rmSync(ballast(), { force: true });
    const { bavail, bsize } = statfsSync(path);
    writeFileSync(ballast(), Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
  }

  const rows = (bytes: number) => Buffer.alloc(bytes, '{}\n\n');
  const left = () => [...namesIn('files'), ...namesIn('tmp')];
  const namesIn = (folder: string): string[] => {
    try {
      return readdirSync(join(path, folder));
    } catch {
      return [];
    }
  };

  async function upload(files: FileStore, bytes: number): Promise<void> {
    const file = await files.beginUpload(0);
    try {
      for (let at = 0; at < bytes; at += MiB / 4) await file.write(rows(MiB / 4));
      await file.commit({ filename: 'a', purpose: 'batch', tenant: 'a', expiresAfterSeconds: null });
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  it.each<[string, LocalStoreOptions]>([
    ['with room kept free', { freeBytesMin: 2 * MiB }],
    ['to its last byte', BLIND],
  ])('an upload is refused %s, leaves nothing, and a shorter one is taken', async (_how, options) => {
    const { files } = open(options);
    leaveFree(3 * MiB);
    await expect(upload(files, 4 * MiB)).rejects.toMatchObject({ code: 'storage_full', status: 507 });
    expect(left()).toEqual([]);
    await upload(files, MiB / 2);
    expect(left()).toHaveLength(1);
  });

  it('a part is refused, and taken once there is room', async () => {
    const { uploads } = open(BLIND);
    const { id } = await uploads.create({ bytes: 2 * MiB, filename: 'a', tenant: 'a', expiresAfterSeconds: null });
    const send = async (): Promise<string> => {
      const part = await uploads.addPart(id, 0, SEES_ALL);
      try {
        await part.write(rows(2 * MiB));
        return (await part.commit()).id;
      } catch (error) {
        await part.discard();
        throw error;
      }
    };
    leaveFree(MiB);
    await expect(send()).rejects.toMatchObject({ code: 'storage_full' });
    expect(left()).toEqual([]);
    leaveFree(5 * MiB);
    const partIds = [await send()];
    leaveFree(MiB);
    const complete = () => uploads.complete(id, { partIds, md5: null }, SEES_ALL);
    await expect(complete()).rejects.toMatchObject({ code: 'storage_full' });
    expect(left()).toEqual([]);
    leaveFree(3 * MiB);
    expect(await complete()).toMatchObject({ status: 'completed', file: { bytes: 2 * MiB } });
  });

  it('a batch is refused and not half there', async () => {
    const { batches } = open(BLIND);
    leaveFree(0);
    const manifest = newManifest({
      ...{ batchId: newBatchId(), tenant: 'a', models: null, endpoint: '/v1/embeddings', metadata: null, isDeterministic: false },
      ...{ inputFileId: newFileId(), outputFileId: newFileId(), errorFileId: newFileId() },
      ...{ outputExpiresAfterSeconds: null, createdAt: 1, expiresAt: 2 },
    });
    await expect(batches.create(manifest)).rejects.toMatchObject({ code: 'storage_full' });
    await batches.remove(manifest.batch.id);
    expect([await batches.listIds(), await batches.listOpenIds()]).toEqual([[], []]);
    leaveFree(MiB);
    await batches.create(manifest);
    expect(await batches.listOpenIds()).toEqual([manifest.batch.id]);
  });
});
