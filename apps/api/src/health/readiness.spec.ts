import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import type { WorkerPlan } from '@app/contracts';
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
    placement = new PlacementReader(dir);
    return new Readiness(placement, new EchoBackend(), new Lifecycle()).missing();
  }
  const place = (lane: 'realtime' | 'batch', ...models: string[]): void =>
    writePlacement(runPaths(dir).placement, {
      formatVersion: 1,
      partitions: [],
      workers: [{ lane, models: models.map((name) => ({ name, version: '1' })) } as WorkerPlan],
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

  it('says why a placement of another version cannot be used', () => {
    writeFileSync(runPaths(dir).placement, JSON.stringify({ formatVersion: 2, partitions: [], workers: [] }));
    expect(missing()).toMatch(/expected formatVersion 1 in .* but received 2/);
  });
});
