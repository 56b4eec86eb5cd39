import type { Config } from '@app/config';
import type { Lane, WorkerPlan } from '@app/contracts';
import type { FileManifest } from '@app/models';
import { readTopology } from '@app/system';
import { plannedWorkers } from '../planned-workers';
import { stageNamesIn } from '../split/model-folders';

/** Where a model runs, by the plan for the next start. */
export interface ModelPlace {
  lane: Lane;
  /** Of the largest partition that has the version in that lane; executors of `threads` CPUs each. */
  ownCpus: number[];
  threads: number;
  /** Of the other lane, if the model runs there as well; else null. */
  otherThreads: number | null;
  /** With the CPUs on which its stages run, if it is split: whatever is tried is tried on these. */
  cpus: number[];
  /** What layouts may take: of the machine, or of these partitions where they are limited. */
  memoryBytes: number;
}

/** In the lane that live callers use or, where its `lanes` leave that out, in the batch lane. Throws a `CliError`. */
export async function placeOf(config: Config, { name, version, lanes }: FileManifest): Promise<ModelPlace> {
  const lane: Lane = lanes === null || lanes.includes('realtime') ? 'realtime' : 'batch';
  const workers = await plannedWorkers(config);
  const planOf = (worker: WorkerPlan) => worker.models.find((model) => model.name === name && model.version === version);
  const [own] = workers.filter((worker) => worker.lane === lane && planOf(worker)).sort((a, b) => b.cpus.length - a.cpus.length);
  const { effective, memoryBytes } = readTopology();
  const stages = stageNamesIn(config.modelsDir, name);
  const isStage = (model: { name: string }): boolean => stages.includes(model.name);
  const used = workers.filter((worker) => worker === own || (worker.lane === lane && worker.models.some(isStage)));
  const ownCpus = own?.cpus ?? effective;
  const others = workers.flatMap((worker) => (worker.lane === lane ? [] : (planOf(worker) ?? [])));
  return {
    lane,
    ownCpus,
    threads: (own && planOf(own)?.executorThreads) ?? config[lane].executorThreads,
    otherThreads: others[0]?.executorThreads ?? null,
    cpus: used.length > 1 ? [...new Set(used.flatMap(({ cpus }) => cpus))].sort((a, b) => a - b) : ownCpus,
    memoryBytes: Math.min(memoryBytes, used.reduce((sum, worker) => sum + (worker.memoryBytes ?? Infinity), 0) || memoryBytes),
  };
}
