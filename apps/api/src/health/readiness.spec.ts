import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import type { PlacedVersion, WorkerPlan } from '@app/contracts';
import { PlacementReader, writePlacement } from '@app/process';
import { Lifecycle } from '../lifecycle';
import { EchoBackend } from '../testing/fakes';
import { Readiness } from './readiness';

describe('Readiness', () => {
  let dir: string;
  let placement: PlacementReader;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'il-ready-'));
  });
  afterEach(() => {
    placement.close();
    rmSync(dir, { recursive: true });
  });

  function missing(): string | null {
    return open().missing();
  }
  function open(backend = new EchoBackend()): Readiness {
    placement = new PlacementReader(dir);
    return new Readiness(placement, backend, new Lifecycle());
  }
  const place = (lane: 'realtime' | 'batch', ...models: string[]): void =>
    writePlacement(runPaths(dir).placement, {
      formatVersion: 1,
      partitions: [],
      workers: [{ lane, models: models.map((name, i) => ({ name, version: '1', revision: i + 1 })) } as WorkerPlan],
    });

  it('is ready when every model of the real-time lane is', () => {
    place('realtime', 'echo');
    expect(missing()).toBeNull();
  });

  it('waits for a model that is placed and that no worker has reported', () => {
    place('realtime', 'echo', 'other');
    expect(missing()).toBe('loading: other/1');
  });

  it('is not ready without a placement of the lane', () => {
    place('batch', 'echo');
    expect(missing()).toBe('no model is placed on the real-time lane');
  });

  describe('with versions', () => {
    const version = (name: string, over: Partial<PlacedVersion>): PlacedVersion => ({
      name,
      version: '1',
      serving: null,
      next: null,
      state: 'serving',
      reason: null,
      ...over,
    });
    const placeVersions = (versions: PlacedVersion[]): void => {
      const models = versions.flatMap(({ name, serving, next }) =>
        [serving, next].flatMap((revision) => (revision === null ? [] : [{ name, version: '1', revision }])),
      );
      const workers = [{ lane: 'realtime', models } as unknown as WorkerPlan];
      writePlacement(runPaths(dir).placement, { formatVersion: 1, partitions: [], workers, versions });
    };

    it.each<[string, PlacedVersion[], string | null]>([
      ['other files that load beside those that serve', [version('echo', { serving: 1, next: 2 })], null],
      ['a model that is not loaded', [version('echo', { serving: 1 }), version('other', { state: 'unloaded', onDemand: true })], null],
      [
        'a model that is loaded for somebody',
        [version('echo', { serving: 1 }), version('other', { next: 2, state: 'loading', onDemand: true })],
        null,
      ],
      ['a model that loads', [version('echo', { serving: 1 }), version('other', { next: 2, state: 'loading' })], 'loading: other/1'],
      ['a node of which all is loaded for whoever asks', [version('echo', { state: 'unloaded', onDemand: true })], null],
      ['a node whose models are loaded by command', [version('echo', { state: 'unloaded' })], null],
    ])('%s', (_what, versions, expected) => {
      placeVersions(versions);
      expect(missing()).toBe(expected);
    });

    it('stays ready while a model loads that is new', async () => {
      placeVersions([version('echo', { serving: 1 })]);
      const readiness = open();
      expect(readiness.missing()).toBeNull();
      const changed = new Promise<void>((resolve) => placement.onChange(resolve));
      placeVersions([version('echo', { serving: 1 }), version('other', { next: 2, state: 'loading' })]);
      await changed;
      expect(readiness.missing()).toBeNull();
    });
  });

  it('says why a placement of another version cannot be used', () => {
    writeFileSync(runPaths(dir).placement, JSON.stringify({ formatVersion: 2, partitions: [], workers: [] }));
    expect(missing()).toMatch(/expected formatVersion 1 in .* but received 2/);
  });
});
