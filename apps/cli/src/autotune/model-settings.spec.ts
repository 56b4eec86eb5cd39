import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { readTopology } from '@app/system';
import { parse } from 'yaml';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { findModelFiles } from '../find-model-files';
import type { Layout } from '../parallel/cost-model';
import { writeSettings } from './model-settings';
import type { TuneResult } from './tuner';

const MODEL = 'classifier';
const ONE: Layout = { stages: 1, replicas: 1, width: 1 };

describe('the settings that autotune writes', () => {
  let root: string;
  const folder = (...names: string[]): string => join(root, 'models', ...names);
  const write = async (best: Layout, present = ONE): Promise<string> => {
    const config = loadConfig({ DATA_DIR: join(root, 'data'), MODELS_DIR: folder() });
    const trial = (layout: Layout, runRowsMax: number): TuneResult['best'] => ({
      settings: { layout, runRowsMax, runTokensMax: 512 },
      ...{ rowsPerSecond: 1, p99Ms: 1 },
    });
    return writeSettings(config, {
      ...{ manifest: findModelFiles(config, MODEL, null).manifest, lane: 'realtime', best: trial(best, 8), present: trial(present, 32) },
    });
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'settings-'));
    buildModels(join(root, 'made'), [MODEL]);
    cpSync(join(root, 'made', MODEL), folder(MODEL, '1'), { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('leave other keys and comments as they are', async () => {
    writeFileSync(folder(MODEL, 'model.yaml'), '# ours\nexecutorThreads: 1\n');
    expect(await write({ ...ONE, width: readTopology().effective.length })).toMatch(/^written to .*model\.yaml$/);
    const text = readFileSync(folder(MODEL, 'model.yaml'), 'utf8');
    expect(text).toMatch(/# ours\nexecutorThreads:\n {2}realtime: \d+\n {2}batch: 1\nrunRowsMax: 8\nrunTokensMax: 512\n/);
  });

  it('go where the version has settings of its own, which count before those of the model', async () => {
    writeFileSync(folder(MODEL, '1', 'model.yaml'), 'runRowsMax: 4\n');
    expect(await write(ONE)).toBe(`written to ${folder(MODEL, '1', 'model.yaml')}`);
    expect(readFileSync(folder(MODEL, '1', 'model.yaml'), 'utf8')).toContain('runRowsMax: 8');
  });

  it('keep the threads of the other lane that another file says for the version', async () => {
    writeFileSync(folder(MODEL, 'model.yaml'), 'executorThreads: { realtime: 2, batch: 1 }\n');
    writeFileSync(folder(MODEL, '1', 'model.yaml'), 'runRowsMax: 4\n');
    await write(ONE, { ...ONE, width: 2 });
    expect(parse(readFileSync(folder(MODEL, '1', 'model.yaml'), 'utf8'))).toMatchObject({ executorThreads: { realtime: 1, batch: 1 } });
  });

  it('leave a link a link, and its mode as it is', async () => {
    writeFileSync(join(root, 'ours.yaml'), 'runRowsMax: 4\n', { mode: 0o640 });
    symlinkSync(join(root, 'ours.yaml'), folder(MODEL, 'model.yaml'));
    await write(ONE);
    expect(lstatSync(folder(MODEL, 'model.yaml')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(root, 'ours.yaml'), 'utf8')).toContain('runRowsMax: 8');
    expect(statSync(join(root, 'ours.yaml')).mode & 0o777).toBe(0o640);
    expect(readdirSync(root).sort()).toEqual(['made', 'models', 'ours.yaml']);
  });

  it('are not written where a partition has no room for a run, by which no node would start', async () => {
    const cpus = readTopology().effective.length;
    expect(await write({ ...ONE, width: cpus + 1 })).toMatch(
      new RegExp(`^nothing is written: no node would start.*${cpus + 1} executorThreads, but.*has ${cpus} executor`),
    );
    expect(existsSync(folder(MODEL, 'model.yaml'))).toBe(false);
  });

  it('are written for each stage or, with the reason, for none', async () => {
    for (const stage of ['stage-1', 'stage-2']) cpSync(join(root, 'made', MODEL), folder(`${MODEL}-${stage}`, '1'), { recursive: true });
    mkdirSync(folder(`${MODEL}-stage-2`, 'model.yaml'));
    await expect(write({ stages: 2, replicas: 1, width: 1 })).rejects.toThrow('cannot be served');
    expect(readdirSync(folder(`${MODEL}-stage-1`))).toEqual(['1']);
    rmSync(folder(`${MODEL}-stage-2`, 'model.yaml'), { recursive: true });
    await write({ stages: 2, replicas: 1, width: 1 });
    for (const stage of ['stage-1', 'stage-2'])
      expect(readFileSync(folder(`${MODEL}-${stage}`, 'model.yaml'), 'utf8')).toContain('executorThreads:\n  realtime: 1');
  });
});
