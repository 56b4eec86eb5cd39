import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatchStore, newBatchId, newManifest, storagePaths } from '@app/batches';
import { createLogger } from '@app/telemetry';
import { ManifestFile } from './manifest-file';

const batchId = newBatchId();
const OPERATIONS = {
  touch: async (file: ManifestFile) => file.touch(),
  save: (file: ManifestFile) => file.save({ syncParent: false }),
  saveIfStale: (file: ManifestFile) => file.saveIfStale(),
};
const DISKS = ['works', 'fails', 'has lost the batch'] as const;

/** What each operation makes of each state, with a disk that works, that fails, and on which the batch's directory is gone. */
const MATRIX = {
  touch: { saved: ['stale', 'stale', 'stale'], stale: ['stale', 'stale', 'stale'], gone: ['gone', 'gone', 'gone'] },
  save: { saved: ['saved', 'stale', 'gone'], stale: ['saved', 'stale', 'gone'], gone: ['gone', 'gone', 'gone'] },
  saveIfStale: { saved: ['saved', 'saved', 'saved'], stale: ['saved', 'stale', 'gone'], gone: ['gone', 'gone', 'gone'] },
} as const;

describe('ManifestFile', () => {
  let dataDir: string;
  let file: ManifestFile;
  const paths = () => storagePaths(dataDir).batch(batchId);
  const onDisk = () => (JSON.parse(readFileSync(paths().manifest, 'utf8')) as { paused: string | null }).paused;

  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'il-manifest-'));
    const batches = new BatchStore(dataDir);
    const manifest = newManifest({
      batchId,
      tenant: 'default',
      models: null,
      endpoint: '/v1/embeddings',
      inputFileId: 'file-1',
      outputFileId: 'file-2',
      errorFileId: 'file-3',
      metadata: null,
      isDeterministic: false,
      outputExpiresAfterSeconds: null,
      createdAt: 1,
      expiresAt: 2,
    });
    await batches.create(manifest);
    file = new ManifestFile(manifest, batches, createLogger('test', 'silent'));
  });

  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  /** A directory in the manifest's place cannot be replaced by a file. */
  function setDisk(disk: (typeof DISKS)[number]): void {
    rmSync(disk === 'has lost the batch' ? paths().directory : paths().manifest, { recursive: true, force: true });
    if (disk === 'fails') mkdirSync(paths().manifest);
  }

  async function enter(state: 'saved' | 'stale' | 'gone'): Promise<void> {
    if (state === 'stale') file.touch();
    if (state !== 'gone') return;
    setDisk('has lost the batch');
    await file.save({ syncParent: false });
    mkdirSync(paths().directory);
  }

  const cases = Object.entries(MATRIX).flatMap(([operation, states]) =>
    Object.entries(states).flatMap(([state, after]) =>
      DISKS.map((disk, index) => [operation as keyof typeof OPERATIONS, state as 'saved', disk, after[index]] as const),
    ),
  );

  it.each(cases)('%s when %s and the disk %s: %s', async (operation, state, disk, after) => {
    await enter(state);
    setDisk(disk);
    await OPERATIONS[operation](file);
    expect(file.state).toBe(after);
  });

  it('brings with the next save what one that failed did not', async () => {
    setDisk('fails');
    file.manifest.paused = 'why';
    expect(await file.save({ syncParent: true })).toBe(false);
    setDisk('works');
    await file.saveIfStale();
    expect([file.state, onDisk()]).toEqual(['saved', 'why']);
  });

  it('writes in the order of the calls, each time what the manifest is by then', async () => {
    const saves = ['first', 'second', 'third'].map((paused) => {
      file.manifest.paused = paused;
      return file.save({ syncParent: false });
    });
    expect(await Promise.all(saves)).toEqual([true, true, true]);
    await file.idle();
    expect(onDisk()).toBe('third');
  });

  it('writes nothing of a batch that is gone, and lets its owner go on', async () => {
    await enter('gone');
    expect(await file.save({ syncParent: true })).toBe(true);
    expect(() => onDisk()).toThrow('ENOENT');
  });
});
