import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  InterleaveError,
  type Lane,
  type ModelReport,
  type ModelSignature,
  type PlacedRelease,
  type PlacedVersion,
  type Placement,
  type WorkerModelPlan,
  type WorkerPlan,
} from '@app/contracts';
import { createLogger } from '@app/telemetry';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { fingerprintOfVersion, ModelNotReady, openModelCatalog, releaseView, visibleModels, type ModelCatalog } from '.';

const log = createLogger('test', 'silent');

/** A placement that the test writes. */
class Placed {
  placement: Placement | null = null;
  private readonly listeners = new Set<() => void>();

  onChange(listener: () => void): void {
    this.listeners.add(listener);
  }

  write(placement: Placement): void {
    this.placement = placement;
    for (const listener of this.listeners) listener();
  }
}

describe('a catalog that follows the placement', () => {
  let served: ServedModels;
  let signature: ModelSignature;
  let root: string;
  let placed: Placed;
  let catalog: ModelCatalog;
  beforeAll(async () => {
    served = await serveModels(['encoder-tiny']);
    signature = served.backend.models()[0]?.signature as ModelSignature;
  });
  afterAll(() => served.close());
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'follow-'));
    placed = new Placed();
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** Writes the files of model `m` anew, in one step, or those of one of its versions. */
  const write = (yaml = '', version: string | null = null): string => {
    rmSync(join(root, '.m'), { recursive: true, force: true });
    cpSync(join(served.modelsDir, 'encoder-tiny'), join(root, '.m'), { recursive: true });
    writeFileSync(join(root, '.m/model.yaml'), yaml);
    const folder = version === null ? join(root, 'm') : join(root, 'm', version);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, '..'), { recursive: true });
    renameSync(join(root, '.m'), folder);
    return fingerprintOfVersion(root, 'm', version ?? '1') as string;
  };
  const writeWithoutTokenizer = (yaml: string): string => {
    write(yaml);
    rmSync(join(root, 'm/tokenizer.json'));
    return fingerprintOfVersion(root, 'm', '1') as string;
  };
  const versionOf = (over: Partial<PlacedVersion>): PlacedVersion => ({
    name: 'm',
    version: '1',
    serving: null,
    next: null,
    state: 'serving',
    reason: null,
    ...over,
  });
  const place = (
    versions: PlacedVersion[],
    plans: [revision: number, fingerprint: string, version?: string][],
    { lane = 'realtime', releases = [] }: { lane?: Lane; releases?: PlacedRelease[] } = {},
  ): void => {
    const models = plans.map(
      ([revision, fingerprint, version = '1']) => ({ name: 'm', version, revision, fingerprint }) as WorkerModelPlan,
    );
    placed.write({ formatVersion: 1, partitions: [], workers: [{ lane, models } as WorkerPlan], versions, releases });
  };
  const report = (revision: number, state: ModelReport['state'] = 'ready', version = '1'): ModelReport => ({
    name: 'm',
    version,
    revision,
    state,
    reason: null,
    signature: state === 'ready' ? signature : null,
    cost: null,
  });
  const open = async (): Promise<void> => {
    catalog = await openModelCatalog(root, 'realtime', log, placed);
  };
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise<void>((resolve) => catalog.onChange(resolve));
  };
  const revisionOf = (name = 'm', version: string | null = null): number => catalog.find(name, version).revision;
  const bound = (): [number, string | null][] => (catalog.revisions() ?? []).map(({ revision, problem }) => [revision, problem]);
  const fault = (find: () => unknown): InterleaveError => {
    try {
      find();
    } catch (error) {
      if (error instanceof InterleaveError) return error;
    }
    throw new Error('found it');
  };

  it('answers with the revision that serves, binds the next one beside it, and switches when it is told', async () => {
    const first = write();
    place([versionOf({ next: 1, state: 'loading' })], [[1, first]]);
    await open();
    expect(bound()).toEqual([]);
    catalog.applyReports([report(1)]);
    expect([revisionOf(), bound()]).toEqual([1, [[1, null]]]); // nothing else serves

    place([versionOf({ serving: 1 })], [[1, first]]);
    const second = write('maxTokens: 7');
    place([versionOf({ serving: 1, next: 2 })], [[1, first], [2, second]]); // oxfmt-ignore
    catalog.applyReports([report(1), report(2)]);
    await until(() => bound().length === 2);
    expect(revisionOf()).toBe(1);
    const old = catalog.find('m', null);

    place([versionOf({ serving: 2 })], [[1, first], [2, second]]); // oxfmt-ignore
    expect(revisionOf()).toBe(2);
    expect(catalog.find('m', null).text?.maxTokens).toBe(7);
    expect(catalog.ofRevision(1)?.model.revision).toBe(1); // workers have it still
    place([versionOf({ serving: 2 })], [[2, second]]);
    expect(catalog.ofRevision(1)).toBeNull();
    await expect(old.text?.encode(['hello'], { truncate: false, topK: null, promptName: null })).resolves.toHaveLength(1);
  });

  it('says that it does not have a revision whose files were replaced meanwhile, and goes on with the other', async () => {
    const first = write();
    place([versionOf({ serving: 1 })], [[1, first]]);
    await open();
    catalog.applyReports([report(1)]);
    const second = write('maxTokens: 7');
    const third = write('maxTokens: 8');
    place([versionOf({ serving: 1, next: 2 })], [[1, first], [2, second]]); // oxfmt-ignore
    await until(() => bound().length === 2);
    expect(bound()).toEqual([[1, null], [2, 'its files have changed']]); // oxfmt-ignore
    expect(revisionOf()).toBe(1);
    place([versionOf({ serving: 1, next: 3 })], [[1, first], [3, third]]); // oxfmt-ignore
    catalog.applyReports([report(1), report(3)]);
    await until(() => bound().length === 2);
    expect(bound()).toEqual([[1, null], [3, null]]); // oxfmt-ignore
  });

  it('finds files that change between reading and binding', async () => {
    const first = write();
    place([versionOf({ next: 1, state: 'loading' })], [[1, first]]);
    await open();
    write('maxTokens: 7');
    catalog.applyReports([report(1)]);
    expect(bound()).toEqual([[1, 'its files have changed']]);
    expect(fault(() => revisionOf()).code).toBe('model_not_servable');
  });

  it.each(['by another placement', 'without a word'])('reads files again that are put back, %s', async (how) => {
    const first = write();
    renameSync(join(root, 'm'), join(root, 'm.old'));
    const second = write('maxTokens: 7');
    place([versionOf({ serving: 1, next: 2 })], [[1, first], [2, second]]); // oxfmt-ignore
    await open();
    catalog.applyReports([report(1), report(2)]);
    expect([catalog.ofRevision(1), catalog.failureOf(1)]).toEqual([null, 'its files have changed']);
    renameSync(join(root, 'm'), join(root, 'm.new'));
    renameSync(join(root, 'm.old'), join(root, 'm'));
    if (how === 'by another placement') place([versionOf({ serving: 1 })], [[1, first], [2, second]]); // oxfmt-ignore
    await until(() => catalog.ofRevision(1) !== null);
    expect([catalog.failureOf(1), catalog.ofRevision(2)?.model.text?.maxTokens]).toEqual([null, 7]);
  });

  it('answers with the next revision where this process came too late for the files of the one that serves', async () => {
    const second = write();
    place([versionOf({ serving: 1, next: 2 })], [[1, 'others'], [2, second]]); // oxfmt-ignore
    await open();
    expect(bound()).toEqual([[1, 'its files have changed']]);
    catalog.applyReports([report(1), report(2)]);
    expect(revisionOf()).toBe(2);
  });

  it('keeps the task of files that do not fit from answering, and says so', async () => {
    const first = write('task: text-pair-scoring');
    place([versionOf({ next: 1, state: 'loading' })], [[1, first]]);
    await open();
    catalog.applyReports([report(1)]);
    expect(bound()).toEqual([[1, expect.stringMatching(/needs/)]]);
  });

  it('does not bind files that take no text beside those that do, unless they are meant to', async () => {
    const first = write();
    place([versionOf({ serving: 1 })], [[1, first]]);
    await open();
    catalog.applyReports([report(1)]);
    expect(bound()).toEqual([[1, null]]);
    for (const [revision, yaml, problem] of [
      [2, 'tokenIds: true', expect.stringContaining('take no text')],
      [3, 'task: tensor', null],
    ] as const) {
      const next = writeWithoutTokenizer(yaml);
      place(
        [versionOf({ serving: 1, next: revision })],
        [
          [1, first],
          [revision, next],
        ],
      );
      catalog.applyReports([report(1), report(revision)]);
      await until(() => bound().some(([bindings]) => bindings === revision));
      expect(bound().find(([bindings]) => bindings === revision)).toEqual([revision, problem]);
    }
  });

  it('counts as bound what another lane serves', async () => {
    const first = write('lanes: [batch]');
    place([versionOf({ next: 1, state: 'loading' })], [[1, first]], { lane: 'batch' });
    await open();
    expect(bound()).toEqual([[1, null]]);
    const second = write();
    place([versionOf({ next: 2, state: 'loading' })], [[2, second]], { lane: 'batch' });
    await until(() => bound().length === 1);
    expect(bound()).toEqual([[2, null]]);
  });

  it('has everything of the folder until there is a placement with versions', async () => {
    const first = write();
    await open();
    catalog.applyReports([report(5)]);
    expect([revisionOf(), catalog.revisions()]).toEqual([5, null]);
    placed.write({ formatVersion: 1, partitions: [], workers: [] });
    expect(revisionOf()).toBe(5);
    place([versionOf({ serving: 9 })], [[9, first]]);
    catalog.applyReports([report(9)]);
    await until(() => bound().length === 1);
    expect(revisionOf()).toBe(9);
  });

  describe('with several versions', () => {
    const placeBoth = async (second: Partial<PlacedVersion>, releases: PlacedRelease[] = []): Promise<void> => {
      const [one, two] = [write('', '1'), write('', '2')];
      const versions = [versionOf({ serving: 1 }), versionOf({ version: '2', ...second })];
      place(versions, [[1, one, '1'], [2, two, '2']], { releases }); // oxfmt-ignore
      await open();
      catalog.applyReports([report(1), report(2, 'ready', '2')]);
    };
    const release = (over: Partial<PlacedRelease>): PlacedRelease => ({
      name: 'm',
      labels: {},
      canary: null,
      mirror: null,
      rollback: null,
      promote: null,
      ...over,
    });

    it('lists what is not loaded, and says so to who asks for it', async () => {
      await placeBoth({ state: 'unloaded', reason: 'unloaded by command' });
      expect(catalog.list().map(({ version, state, task }) => [version, state, task])).toEqual([
        ['1', 'ready', 'embedding'],
        ['2', 'unloaded', 'embedding'],
      ]);
      expect(revisionOf()).toBe(1);
      expect(fault(() => revisionOf('m', '2'))).toMatchObject({ code: 'worker_unavailable', state: 'unloaded', modelVersion: '2' });
    });

    it('gives a version that is on its way to those who name it, and to all once the scheduler has switched', async () => {
      await placeBoth({ next: 2, state: 'loading' });
      expect([revisionOf(), revisionOf('m', '2')]).toEqual([1, 2]);
      await placeBoth({ serving: 2 });
      expect(revisionOf()).toBe(2);
    });

    it('does not let an older version answer because the newer one made room', async () => {
      await placeBoth({ state: 'unloaded', onDemand: true });
      const error = fault(() => revisionOf());
      expect(error).toBeInstanceOf(ModelNotReady);
      expect(error).toMatchObject({ modelVersion: '2', isOnDemand: true });
    });

    it('takes labels, and the stable one where none is named', async () => {
      await placeBoth({ serving: 2 }, [release({ labels: { stable: '1', next: '2' } })]);
      expect([revisionOf(), revisionOf('m:stable'), revisionOf('m:next'), revisionOf('m', '2')]).toEqual([1, 1, 2, 2]);
      expect(fault(() => revisionOf('m:nope'))).toMatchObject({
        code: 'model_not_found',
        message: 'model "m" has no label "nope"; it has stable, next',
      });
      expect(fault(() => revisionOf('m:next', '2')).code).toBe('invalid_request');
      const meant = (name: string, version: string | null = null) => catalog.entriesOf(name, version).map((entry) => entry.version);
      expect([meant('m'), meant('m:next'), meant('m', '2')]).toEqual([['1', '2'], ['2'], ['2']]);
      for (const [name, version] of [['m:nope'], ['m', '3'], ['n']] as const)
        expect(fault(() => meant(name, version)).code).toBe('model_not_found');
      expect(fault(() => meant('m:next', '2')).code).toBe('invalid_request');
      const ofN = visibleModels(catalog, ['n']);
      expect(fault(() => ofN.entriesOf('m:next', null)).code).toBe('model_not_found');
      expect(fault(() => revisionOf('m:constructor')).code).toBe('model_not_found');
      expect(fault(() => revisionOf('n:next')).code).toBe('model_not_found');
    });

    it('gives the canary its share of the callers that name no version, each always the same', async () => {
      await placeBoth({ serving: 2 }, [release({ labels: { stable: '1', canary: '2' }, canary: { version: '2', trafficPercent: 10 } })]);
      const view = (caller: string) => releaseView(catalog, (user) => user ?? caller);
      const versions = Array.from({ length: 20_000 }, (_, i) => view(`caller ${i}`).find('m', null).version);
      expect(Math.abs(versions.filter((version) => version === '2').length / 200 - 10)).toBeLessThan(1);
      const canary = `caller ${versions.indexOf('2')}`;
      expect(view(canary).find('m', '1').version).toBe('1');
      expect(view(canary).find('m:stable', null).version).toBe('1');
      expect(view('other').find('m', null, canary).version).toBe('2');
      catalog.applyReports([report(1), report(2, 'loading', '2')]);
      expect(view(canary).find('m', null).version).toBe('1');
    });
  });
});
