import type { Config } from '@app/config';
import { LANES, type Lane, type WorkerModelPlan, type WorkerPlan } from '@app/contracts';
import type { FileManifest } from '@app/models';
import { readTopology } from '@app/system';
import { CliError } from '../cli-error';
import { plannedWorkers } from '../planned-workers';
import { stageNamesIn } from '../split/model-folders';
import type { Layout } from './cost-model';
import { modelsOf } from './cpu-sets';

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

/** In the lane that live callers use or, where it does not run there, in the batch lane. Throws a `CliError`. */
export async function placeOf(config: Config, { name, version }: FileManifest): Promise<ModelPlace> {
  const workers = await plannedWorkers(config);
  const planOf = (worker: WorkerPlan): WorkerModelPlan | undefined =>
    worker.models.find((model) => model.name === name && model.version === version);
  // LANES begins with that of live callers.
  const [own] = LANES.flatMap((lane) =>
    workers.filter((worker) => worker.lane === lane && planOf(worker)).sort((a, b) => b.cpus.length - a.cpus.length),
  );
  const plan = own && planOf(own);
  if (own === undefined || plan === undefined) throw new CliError(`no partition runs ${name} version ${version}`);
  const stages = stageNamesIn(config.modelsDir, name);
  const used = workers.filter(
    (worker) => worker === own || (worker.lane === own.lane && worker.models.some((model) => stages.includes(model.name))),
  );
  const others = workers.flatMap((worker) => (worker.lane === own.lane ? [] : (planOf(worker) ?? [])));
  return {
    lane: own.lane,
    ownCpus: own.cpus,
    threads: plan.executorThreads,
    otherThreads: others[0]?.executorThreads ?? null,
    // In the order of the workers, by which neighbours are together.
    cpus: [...new Set(used.flatMap(({ cpus }) => cpus))],
    memoryBytes: Math.min(
      readTopology().memoryBytes,
      used.reduce((sum, worker) => sum + (worker.memoryBytes ?? Infinity), 0),
    ),
  };
}

export const otherLane = (lane: Lane): Lane => (lane === 'batch' ? 'realtime' : 'batch');

/** What, beside the partitions of a layout, would keep a node from starting: runs that have more threads than such a partition has CPUs. */
export function threadsText(model: string, { lane, threads, otherThreads }: ModelPlace, layout: Layout): string[] {
  const cpus = layout.replicas * layout.width;
  const whole = Math.max(threads, otherThreads ?? 0);
  return [
    ...(otherThreads === null || otherThreads <= cpus
      ? []
      : [`there, executorThreads.${otherLane(lane)} of ${modelsOf(model, layout).join(', ')} has to be at most ${cpus}`]),
    ...(layout.stages === 1 || whole <= cpus
      ? []
      : [`${model} itself has runs of ${whole} threads: give it a partition of ${whole} CPUs, or at most ${cpus} executorThreads`]),
  ];
}
