import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gpusOf } from '../../../test/fixtures/gpu-machines';
import { gpusToPlan } from './gpu-inventory';

describe('GPUs that a scheduler plans with', () => {
  let runDir: string;
  beforeEach(() => (runDir = mkdtempSync(join(tmpdir(), 'gpus-'))));
  afterEach(() => rmSync(runDir, { recursive: true }));

  const [running, none] = [{ anyRuns: () => true }, { anyRuns: () => false }];
  const [shared, broken] = [gpusOf('mps-running'), gpusOf('driver-broken')];

  it('are those that running workers were started by, though the driver does not answer now', () => {
    expect(gpusToPlan(shared, runDir, none)).toEqual(shared);
    expect(gpusToPlan(broken, runDir, running)).toEqual(shared);
    expect(gpusToPlan({ ...shared, mpsRuns: false }, runDir, running)).toEqual(shared);
  });

  it('are asked for anew where nothing runs, and where none was found before', () => {
    gpusToPlan(shared, runDir, none);
    expect(gpusToPlan(broken, runDir, none)).toEqual(broken);
    expect(gpusToPlan(shared, runDir, running)).toEqual(shared);
  });
});
