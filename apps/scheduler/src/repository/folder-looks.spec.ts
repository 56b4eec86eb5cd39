import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { scanRepository } from '@app/models';
import { FolderLooks } from './folder-looks';
import { SETTLE_MS } from './settling';

describe('looks at the models folder', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-looks-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const write = (path: string, text: string): void => {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  /** As root reads every folder, a link in a circle stands for one without rights. */
  const circle = (path: string): void => {
    renameSync(join(dir, path), `${dir}.away`);
    symlinkSync(basename(path), join(dir, path));
  };
  const restore = (path: string): void => {
    rmSync(join(dir, path));
    renameSync(`${dir}.away`, join(dir, path));
  };
  const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS + 10));

  it('tell what changed once it stays', async () => {
    write('m/1/model.onnx', 'one');
    const looks = new FolderLooks(dir, scanRepository(dir));
    expect(await looks.look()).toEqual({ versions: [], releases: [], problem: null });
    write('m/1/model.onnx', 'half');
    expect((await looks.look()).versions).toEqual([]);
    await settle();
    write('m/1/model.onnx', 'half and more');
    expect([(await looks.look()).versions, looks.isUnsettled]).toEqual([[], true]);
    await settle();
    expect((await looks.look()).versions).toMatchObject([{ name: 'm', version: '1', entry: { reason: null } }]);
    expect(looks.isUnsettled).toBe(false);
    rmSync(join(dir, 'm'), { recursive: true });
    write('n/1/model.onnx', 'gone again');
    await looks.look();
    rmSync(join(dir, 'n'), { recursive: true });
    await settle();
    expect((await looks.look()).versions).toEqual([{ name: 'm', version: '1', entry: null }]);
    expect(looks.isUnsettled).toBe(false);
  });

  it('read release.yaml at once or once it stays, and say what is wrong with it', async () => {
    write('m/1/model.onnx', 'one');
    write('m/release.yaml', 'labels: { stable: 1 }');
    const looks = new FolderLooks(dir, scanRepository(dir));
    expect(looks.releasesNow()).toMatchObject([{ name: 'm', file: { labels: { stable: '1' } }, problem: null }]);
    write('m/release.yaml', 'label: {}');
    expect((await looks.look()).releases).toEqual([]);
    await settle();
    expect((await looks.look('releases')).releases).toMatchObject([
      { name: 'm', file: null, problem: expect.stringContaining('label') as string },
    ]);
    rmSync(join(dir, 'm/release.yaml'));
    await looks.look();
    await settle();
    expect((await looks.look()).releases).toEqual([{ name: 'm', file: null, problem: null }]);
  });

  it.each([
    ['is a link in a circle', (path: string) => symlinkSync('release.yaml', path)],
    ['is a folder', (path: string) => mkdirSync(path)],
  ])('go on with all else when a release.yaml %s', async (_what, place) => {
    write('m/1/model.onnx', 'one');
    write('n/1/model.onnx', 'two');
    write('n/release.yaml', 'labels: { stable: 1 }');
    place(join(dir, 'm/release.yaml'));
    const looks = new FolderLooks(dir, scanRepository(dir));
    expect(looks.releasesNow()).toMatchObject([
      { name: 'm', file: null, problem: expect.stringContaining('m/release.yaml') as string },
      { name: 'n', file: { labels: { stable: '1' } }, problem: null },
    ]);
    write('n/1/model.onnx', 'three');
    await looks.look();
    await settle();
    expect(await looks.look()).toMatchObject({ versions: [{ name: 'n' }], releases: [], problem: null });
    rmSync(join(dir, 'm/release.yaml'), { recursive: true });
    await looks.look();
    await settle();
    expect((await looks.look()).releases).toEqual([{ name: 'm', file: null, problem: null }]);
  });

  it.each([
    ['holds a graph beside its versions', () => write('o/m/model.onnx', 'x'), () => rmSync(join(dir, 'o/m/model.onnx')), 'both a graph'],
    ['cannot be read', () => circle('o/m'), () => restore('o/m'), 'ELOOP'],
    ['is of an organisation that cannot be read', () => circle('o'), () => restore('o'), 'ELOOP'],
  ])('keep every version of a model that %s, with the reason', async (_what, spoil, mend, reason) => {
    for (const version of ['1', '2']) write(`o/m/${version}/model.onnx`, version);
    const known = scanRepository(dir);
    const looks = new FolderLooks(dir, known);
    spoil();
    await looks.look();
    await settle();
    const entry = expect.objectContaining({ manifest: null, reason: expect.stringContaining(reason) as string }) as object;
    expect((await looks.look()).versions).toEqual(['1', '2'].map((version) => ({ name: 'o/m', version, entry })));
    expect(looks.lookAtModel('o/m')).toEqual(['1', '2'].map((version) => ({ name: 'o/m', version, entry })));
    mend();
    await looks.look();
    await settle();
    expect((await looks.look()).versions.map(({ entry: mended }) => mended)).toEqual(known);
    rmSync(join(dir, 'o'), { recursive: true });
    expect(looks.lookAtModel('o/m').map(({ entry: gone }) => gone)).toEqual([null, null]);
  });

  it('take nothing away when another, empty folder is in its place, as after an unmount', async () => {
    write('m/1/model.onnx', 'one');
    const looks = new FolderLooks(dir, scanRepository(dir));
    renameSync(dir, `${dir}.mounted`);
    mkdirSync(dir);
    await looks.look();
    await settle();
    expect(await looks.look()).toMatchObject({ versions: [], problem: expect.stringContaining('another folder') as string });
    rmSync(dir, { recursive: true });
    renameSync(`${dir}.mounted`, dir);
    rmSync(join(dir, 'm'), { recursive: true });
    await looks.look();
    await settle();
    expect((await looks.look()).versions).toEqual([{ name: 'm', version: '1', entry: null }]);
  });

  it('take nothing away when the folder cannot be read', async () => {
    write('m/1/model.onnx', 'one');
    const looks = new FolderLooks(dir, scanRepository(dir));
    rmSync(dir, { recursive: true });
    await looks.look();
    await settle();
    expect(await looks.look()).toMatchObject({ versions: [], problem: expect.stringContaining('MODELS_DIR cannot be read') as string });
  });
});
