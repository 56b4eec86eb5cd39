import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, runPaths } from '@app/config';
import type { ModelReport, Placement, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { hasFile, scanRepository, workerModelPlan } from '@app/models';
import { startWorker, type WorkerHandle } from '@app/native';
import { openPlacement, type PlacementReader, writePlacement } from '@app/process';
import { createLogger } from '@app/telemetry';
import { buildModels } from '../../../tools/model-builder/src/models';
import { hasFingerprint } from './model-files';
import { PlacedModels } from './placed-models';

const MODEL = 'no-mask';
const log = createLogger('worker', 'fatal');

describe('a worker that follows its placement', () => {
  const built = mkdtempSync(join(tmpdir(), 'built-'));
  let folder: string;
  let modelsDir: string;
  let worker: WorkerHandle;
  let reader: PlacementReader;
  let models: PlacedModels;

  beforeAll(() => void buildModels(built, [MODEL]));
  afterAll(() => rmSync(built, { recursive: true }));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'placed-'));
    modelsDir = join(folder, 'models');
    cpSync(built, modelsDir, { recursive: true });
  });
  afterEach(async () => {
    models.stop();
    await worker.close();
    rmSync(folder, { recursive: true });
  });

  /** The files as they are now, under this revision. */
  function planned(revision: number): WorkerModelPlan {
    const { batch } = loadConfig({ MODELS_DIR: modelsDir });
    const [entry] = scanRepository(modelsDir);
    if (!entry?.manifest || !hasFile(entry.manifest)) throw new Error(entry?.reason ?? 'no model');
    return workerModelPlan(entry.manifest, batch, { revision, fingerprint: entry.fingerprint });
  }

  const planOf = (plans: WorkerModelPlan[]): WorkerPlan => ({
    id: 'all-batch',
    partitionId: 'all',
    lane: 'batch',
    cpus: [0],
    processCpus: [0],
    memoryBytes: null,
    socketPath: join(folder, 'worker.sock'),
    models: plans,
    queueItemsMax: 16,
    channelBytes: 4 << 20,
    awakeMs: 0,
    gpu: null,
    gpuRefusal: null,
  });

  const place = (plans: WorkerModelPlan[], rest: Partial<Placement> = {}): void =>
    writePlacement(runPaths(folder).placement, { formatVersion: 1, partitions: [], workers: [planOf(plans)], ...rest });

  function start(plans: WorkerModelPlan[]): void {
    place(plans);
    const hasFilesOf = ({ name, version, fingerprint }: WorkerModelPlan): boolean => hasFingerprint(modelsDir, name, version, fingerprint);
    worker = startWorker({ plan: planOf(plans), ortLibraryPath: null, hasFilesOf });
    reader = openPlacement(folder, log);
    models = new PlacedModels({ plan: planOf(plans), reader, worker, calibrator: { setModels: () => undefined }, log });
    models.follow();
  }

  async function reported(...revisions: number[]): Promise<ModelReport[]> {
    for (;;) {
      const reports = worker.models();
      const isSo = reports.map(({ revision }) => revision).join() === revisions.join();
      if (isSo && reports.every(({ state }) => state !== 'loading')) return reports;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Other files of the same version, in one step. */
  function replaceFiles(): void {
    const next = join(folder, 'next');
    mkdirSync(next);
    cpSync(built, next, { recursive: true });
    rmSync(modelsDir, { recursive: true });
    renameSync(next, modelsDir);
  }

  it('loads what is added, beside what it has, and lets go of what has left', async () => {
    const first = planned(1);
    start([first]);
    await reported(1);
    replaceFiles();
    const second = planned(2);
    expect(second.fingerprint).not.toBe(first.fingerprint);
    place([first, second]);
    expect((await reported(1, 2)).map(({ state }) => state)).toEqual(['ready', 'ready']);
    place([second]);
    await reported(2);
    expect(models.plan.models).toEqual([second]);
  });

  it('does not load files that are not those of the plan', async () => {
    const first = planned(1);
    start([first]);
    await reported(1);
    const stale = planned(2);
    const [entry] = scanRepository(modelsDir);
    utimesSync(entry?.manifest?.modelPath ?? '', 1, 1);
    place([first, stale]);
    const reports = await reported(1, 2);
    expect(reports.map(({ state, reason }) => [state, reason])).toEqual([
      ['ready', null],
      ['failed', 'its files have changed'],
    ]);
  });

  it('keeps its models while the placement has no plan for it, or none that holds together', async () => {
    const first = planned(1);
    start([first]);
    await reported(1);
    const changed = (): Promise<void> =>
      new Promise((resolve) => {
        const stop = reader.onChange(() => (stop(), resolve()));
      });
    let change = changed();
    place([first], { workers: [] });
    await change;
    change = changed();
    place([planned(2), planned(2)]);
    await change;
    expect(worker.models().map(({ revision }) => revision)).toEqual([1]);
    place([first, planned(3)]);
    await reported(1, 3);
  });
});
