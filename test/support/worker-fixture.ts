import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import type { Lane, ModelReport, Placement, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { fingerprintOfVersion } from '@app/models';
import { writePlacement } from '@app/process';
import { WorkerPool } from '@app/worker-pool';
import { buildModels } from '../../tools/model-builder/src/models';

/** By folder: the same files are the same revision. */
const revisions = new Map<string, number>();

function revisionOf(folder: string): number {
  const revision = revisions.get(folder) ?? revisions.size + 1;
  revisions.set(folder, revision);
  return revision;
}

export const modelPlan = (modelsDir: string, name: string, overrides: Partial<WorkerModelPlan> = {}): WorkerModelPlan => ({
  name,
  version: '1',
  revision: revisionOf(join(modelsDir, name)),
  fingerprint: fingerprintOfVersion(modelsDir, name, '1') ?? '',
  device: 'cpu' as const,
  modelPath: modelFile(join(modelsDir, name)),
  batchAxisName: null,
  sequenceAxisNames: [],
  inputAxisNames: {},
  padValues: {},
  paddingIsSafe: null,
  mergeRows: 'auto' as const,
  runRowsMax: 32,
  runTokensMax: 512,
  runTimeoutMs: 60_000,
  endsByCost: true,
  executorThreads: 1,
  deduplicate: true,
  sloMs: null,
  rowTokensMax: null,
  ...overrides,
});

/** Text models are laid out as a Hugging Face export, the others by version. */
const modelFile = (folder: string): string => [join(folder, 'model.onnx'), join(folder, '1', 'model.onnx')].find(existsSync) ?? folder;

/** A run directory with a placement of one worker, and models built into it. */
export class WorkerFixture {
  readonly runDir = mkdtempSync(join(tmpdir(), 'worker-'));
  readonly modelsDir = join(this.runDir, 'models');

  plan(id: string, lane: Lane, modelNames: readonly string[]): WorkerPlan {
    buildModels(this.modelsDir, modelNames);
    return {
      id,
      partitionId: 'all',
      lane,
      cpus: [0],
      processCpus: [0],
      memoryBytes: null,
      socketPath: runPaths(this.runDir).workerSocket(id),
      models: modelNames.map((name) => modelPlan(this.modelsDir, name)),
      queueItemsMax: 1024,
      channelBytes: 64 << 20,
      awakeMs: 0,
      gpu: null,
      gpuRefusal: null,
    };
  }

  place(...workers: WorkerPlan[]): void {
    const placement: Placement = { formatVersion: 1, partitions: [], workers };
    writePlacement(runPaths(this.runDir).placement, placement);
  }

  remove(): void {
    rmSync(this.runDir, { recursive: true });
  }
}

/** Resolves with the reports once `condition` holds for them. */
export async function reportsWhen(pool: WorkerPool, condition: (reports: ModelReport[]) => boolean): Promise<ModelReport[]> {
  return new Promise((resolve) => {
    const unsubscribe = pool.onModelsChanged(check);
    function check(): void {
      const reports = pool.models();
      if (!condition(reports)) return;
      unsubscribe();
      resolve(reports);
    }
    check();
  });
}

export const allLoaded =
  (count: number) =>
  (reports: ModelReport[]): boolean =>
    reports.length === count && reports.every(({ state }) => state !== 'loading');
