import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BatchStore, LocalStore, newBatchId, newManifest, storeKeys } from '@app/batches';
import { createLogger } from '@app/telemetry';
import { ManifestFile } from './manifest-file';

const batchId = newBatchId();
const OPERATIONS = {
  touch: async (file: ManifestFile) => file.touch(),
  save: (file: ManifestFile) => file.save(),
  saveIfStale: (file: ManifestFile) => file.saveIfStale(),
};
const DISKS = ['works', 'fails', 'has lost the batch'] as const;

/** What each operation makes of each state, with a disk that works, that fails, and on which the batch's directory is gone. */
const MATRIX = {
  touch: { saved: ['stale', 'stale', 'stale'], stale: ['stale', 'stale', 'stale'], lost: ['lost', 'lost', 'lost'] },
  save: { saved: ['saved', 'stale', 'lost'], stale: ['saved', 'stale', 'lost'], lost: ['lost', 'lost', 'lost'] },
  saveIfStale: { saved: ['saved', 'saved', 'saved'], stale: ['saved', 'stale', 'lost'], lost: ['lost', 'lost', 'lost'] },
} as const;

/** As one over a network: a write is sent again because its answer was lost, and the second meets the first. */
class LossyStore extends LocalStore {
  losesAnswer = false;

  override async putIfUnchanged(key: string, bytes: Uint8Array, version: string): Promise<string | null> {
    const written = await super.putIfUnchanged(key, bytes, version);
    if (!this.losesAnswer) return written;
    this.losesAnswer = false;
    return super.putIfUnchanged(key, bytes, version);
  }
}

describe('ManifestFile', () => {
  let dataDir: string;
  let file: ManifestFile;
  let batches: BatchStore;
  let store: LossyStore;
  const manifestPath = () => join(dataDir, storeKeys.batch(batchId).manifest);
  let lastText = '';
  const onDisk = () => (JSON.parse(readFileSync(manifestPath(), 'utf8')) as { paused: string | null }).paused;

  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'il-manifest-'));
    store = new LossyStore(dataDir);
    batches = new BatchStore(store);
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
    const version = (await batches.readForUpdate(batchId))?.version ?? '';
    file = new ManifestFile(manifest, version, batches, 'node', createLogger('test', 'silent'));
  });

  it('is lost to another node that took the batch over, and writes no more', async () => {
    const other = await takenOver('other node');
    expect(await file.save()).toBe(true);
    other.manifest.paused = 'why';
    await other.save();
    expect([file.state, other.state, onDisk()]).toEqual(['lost', 'saved', 'why']);
  });

  it('goes on after a write of which only the answer was lost', async () => {
    store.losesAnswer = true;
    file.manifest.paused = 'first';
    expect(await file.save()).toBe(true);
    file.manifest.paused = 'second';
    expect([await file.save(), file.state, onDisk()]).toEqual([true, 'saved', 'second']);
  });

  async function takenOver(nodeId: string): Promise<ManifestFile> {
    const found = await batches.readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    const other = new ManifestFile(found.manifest, found.version, batches, nodeId, createLogger('test', 'silent'));
    await other.save();
    return other;
  }

  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  /** A directory in the manifest's place cannot be replaced by a file. */
  function setDisk(disk: (typeof DISKS)[number]): void {
    if (statSync(manifestPath(), { throwIfNoEntry: false })?.isFile() === true) lastText = readFileSync(manifestPath(), 'utf8');
    if (disk === 'has lost the batch') return rmSync(dirname(manifestPath()), { recursive: true, force: true });
    rmSync(manifestPath(), { recursive: true, force: true });
    mkdirSync(disk === 'fails' ? manifestPath() : dirname(manifestPath()), { recursive: true });
    if (disk === 'works') writeFileSync(manifestPath(), lastText);
  }

  async function enter(state: 'saved' | 'stale' | 'lost'): Promise<void> {
    if (state === 'stale') file.touch();
    if (state !== 'lost') return;
    setDisk('has lost the batch');
    await file.save();
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
    expect(await file.save()).toBe(false);
    setDisk('works');
    await file.saveIfStale();
    expect([file.state, onDisk()]).toEqual(['saved', 'why']);
  });

  it('writes in the order of the calls, each time what the manifest is by then', async () => {
    const saves = ['first', 'second', 'third'].map((paused) => {
      file.manifest.paused = paused;
      return file.save();
    });
    expect(await Promise.all(saves)).toEqual([true, true, true]);
    await file.idle();
    expect(onDisk()).toBe('third');
  });

  it('writes nothing of a batch that is lost, and lets its owner go on', async () => {
    await enter('lost');
    expect(await file.save()).toBe(true);
    expect(() => onDisk()).toThrow('ENOENT');
  });
});
