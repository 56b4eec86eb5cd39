import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, runPaths } from '@app/config';
import type { Placement, WorkerModelPlan } from '@app/contracts';
import { fingerprintOfVersion } from '@app/models';
import { PlacementReader, writePlacement } from '@app/process';
import { createLogger } from '@app/telemetry';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { ModelContents } from './model-contents';

const MODEL = 'no-batch';
const PREPARED = { model: MODEL, version: '1', revision: 3 };

describe('ModelContents', () => {
  const roots: string[] = [];
  const readers: PlacementReader[] = [];
  afterEach(() => {
    readers.splice(0).forEach((reader) => reader.close());
    roots.splice(0).forEach((root) => rmSync(root, { recursive: true }));
  });

  const newRoot = (): string => {
    const root = mkdtempSync(join(tmpdir(), 'contents-'));
    roots.push(root);
    return root;
  };
  /** A node that serves the models of `modelsDir` as revision 3. */
  const node = (modelsDir: string): ModelContents => {
    const config = loadConfig({ DATA_DIR: newRoot(), MODELS_DIR: modelsDir });
    const plan = { name: MODEL, version: '1', revision: 3, fingerprint: fingerprintOfVersion(modelsDir, MODEL, '1') ?? '' };
    const worker = { id: 'w', lane: 'realtime', cpus: [0], models: [plan as WorkerModelPlan] };
    mkdirSync(config.runDir, { recursive: true });
    writePlacement(runPaths(config.runDir).placement, { formatVersion: 1, partitions: [], workers: [worker] } as unknown as Placement);
    const reader = new PlacementReader(config.runDir);
    readers.push(reader);
    return new ModelContents(config, createLogger('api', 'silent'), reader);
  };

  it('tells equal files on two nodes from others', async () => {
    const [one, two, three] = [newRoot(), newRoot(), newRoot()];
    buildModels(one, [MODEL]);
    for (const copy of [two, three]) cpSync(one, copy, { recursive: true });
    writeFileSync(join(three, MODEL, 'model.yaml'), 'runRowsMax: 3\n');
    const content = (await node(one).of(3)) ?? '';
    expect(content).toMatch(/^[0-9a-f]{64}$/);
    await expect(node(two).check(PREPARED, content)).resolves.toBeUndefined();
    await expect(node(three).check(PREPARED, content)).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('says nothing of revisions that are not there', async () => {
    const root = newRoot();
    buildModels(root, [MODEL]);
    expect(await node(root).of(4)).toBeNull();
  });
});
