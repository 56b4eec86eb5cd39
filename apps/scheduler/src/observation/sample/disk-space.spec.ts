import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorageLocation } from '@app/config';
import { DiskSpace } from './disk-space';

const LONG_MS = 60_000;
const bucket: StorageLocation = { kind: 'bucket', bucket: 'b', prefix: '', endpoint: null };
const directory = (path: string): StorageLocation => ({ kind: 'directory', path });
/** File systems of 100 bytes with so many free. */
const disks = (free: Record<string, number>) => async (path: string) => ({ bavail: free[path] ?? 0, blocks: 100, bsize: 1 });

describe('room on the disk', () => {
  it.each<[string, StorageLocation, Record<string, number>, { freeBytes: number; hasBatchFiles: boolean }]>([
    ['of the data directory with all files', directory('/data'), { '/data': 50 }, { freeBytes: 50, hasBatchFiles: true }],
    ['of the files elsewhere, where it is less', directory('/other'), { '/data': 50, '/other': 2 }, { freeBytes: 2, hasBatchFiles: true }],
    ['of the data directory, where it is less', directory('/other'), { '/data': 2, '/other': 50 }, { freeBytes: 2, hasBatchFiles: false }],
    ['of both on one file system', directory('/other'), { '/data': 50, '/other': 50 }, { freeBytes: 50, hasBatchFiles: true }],
    ['beside a bucket', bucket, { '/data': 2 }, { freeBytes: 2, hasBatchFiles: false }],
  ])('is told %s', async (_name, storage, free, expected) => {
    expect(await new DiskSpace({ dataDir: '/data', storage }, disks(free)).worst(LONG_MS)).toEqual({ sizeBytes: 100, ...expected });
  });

  it('is measured on real directories, and unknown where there is none', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'il-disk-'));
    const gone = directory(join(dataDir, 'gone'));
    expect(await new DiskSpace({ dataDir, storage: gone }).worst(LONG_MS)).toMatchObject({ hasBatchFiles: false });
    rmSync(dataDir, { recursive: true });
    expect(await new DiskSpace({ dataDir, storage: gone }).worst(LONG_MS)).toBeNull();
  });

  it('is not waited for without end, nor asked twice at once', async () => {
    let asked = 0;
    const space = new DiskSpace({ dataDir: '/data', storage: directory('/hangs') }, (path) => {
      if (path === '/data') return disks({ '/data': 50 })(path);
      asked++;
      return new Promise(() => undefined);
    });
    for (let look = 0; look < 3; look++) expect(await space.worst(1)).toMatchObject({ freeBytes: 50, hasBatchFiles: false });
    expect(asked).toBe(1);
  });
});
