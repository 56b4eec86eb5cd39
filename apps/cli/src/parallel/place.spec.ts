import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { readTopology } from '@app/system';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { findModelFiles } from '../find-model-files';
import { placeOf, type ModelPlace } from './place';

const MODEL = 'classifier';

describe('the place of a model', () => {
  const cpus = readTopology().effective;
  const [first = 0] = cpus;
  let root: string;
  const folder = (...names: string[]): string => join(root, 'models', ...names);
  const place = async (config: object = {}): Promise<ModelPlace> => {
    const path = join(root, 'interleave.yaml');
    writeFileSync(path, JSON.stringify(config));
    const loaded = loadConfig({ DATA_DIR: join(root, 'data'), MODELS_DIR: folder(), CONFIG: path });
    return placeOf(loaded, findModelFiles(loaded, MODEL, null).manifest);
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'place-'));
    buildModels(folder(), [MODEL]);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('is what the next start would give it, whatever a node that ran here left', async () => {
    mkdirSync(join(root, 'data', 'run'), { recursive: true });
    writeFileSync(join(root, 'data', 'run', 'placement.json'), '{"formatVersion":2}');
    const partitions = [{ id: 'one', cpus: String(first), class: 'reserved', models: [MODEL], memory: '512MiB' }];
    expect(await place({ partitions, realtime: { executorThreads: 1 }, batch: { executorThreads: 1 } })).toEqual({
      ...{ lane: 'realtime', ownCpus: [first], threads: 1, otherThreads: null, cpus: [first], memoryBytes: 512 * 2 ** 20 },
    });
    expect(await place()).toMatchObject({ cpus, otherThreads: 1 });
  });

  it('is that of the batch lane where its lanes leave out the other', async () => {
    writeFileSync(folder(MODEL, 'model.yaml'), 'lanes: [batch]\nexecutorThreads: { batch: 1 }\n');
    expect(await place()).toMatchObject({ lane: 'batch', threads: 1, otherThreads: null });
  });

  it('is in the batch lane where no partition answers live callers', async () => {
    expect(await place({ partitions: [{ id: 'night', cpus: String(first), lanes: ['batch'] }] })).toMatchObject({
      ...{ lane: 'batch', ownCpus: [first], otherThreads: null },
    });
  });

  (cpus.length > 1 ? it : it.skip)('has CPUs of its own lane only where the lanes were found not to share any', async () => {
    mkdirSync(join(root, 'data', 'run'), { recursive: true });
    writeFileSync(join(root, 'data', 'run', 'preemption.json'), '{"verdict":"fails"}');
    expect((await place()).ownCpus).toHaveLength(Math.ceil(cpus.length / 2));
  });

  (cpus.length > 1 ? it : it.skip)('has the CPUs of its stages too', async () => {
    cpSync(folder(MODEL), folder(`${MODEL}-stage-1`), { recursive: true });
    const partition = (id: string, cpu: number | undefined, models: string[]): object => ({ id, cpus: String(cpu), models });
    const partitions = [partition('a', cpus[1], [`${MODEL}-stage-1`]), partition('b', first, [MODEL])];
    expect(await place({ partitions })).toMatchObject({ ownCpus: [first], cpus: [cpus[1], first] });
  });

  it('is not known where a configuration cannot hold', async () => {
    writeFileSync(folder(MODEL, 'model.yaml'), `executorThreads: ${cpus.length + 1}\n`);
    await expect(place()).rejects.toThrow(`${cpus.length + 1} executorThreads`);
  });
});
