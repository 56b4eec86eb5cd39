import { LANES, type Lane, type WorkerModelPlan } from '@app/contracts';
import { PlacementError, type Partition } from './partition';

/** A model version as the planner sees it. */
export interface PlaceableModel {
  name: string;
  version: string;
  tags: string[];
  /** Null: every lane that a partition serves. */
  lanes: Lane[] | null;
  /** What a worker of each lane is told. */
  plans: Record<Lane, WorkerModelPlan>;
}

/**
 * Where a model runs in one lane: in the partitions that list it, or where none of that lane does, in those that list
 * nothing. So a partition without a list takes what is left, lane by lane; with a GPU the models that ask for one, without
 * the others. A model for a GPU that no GPU can take goes to a partition without, whose worker says why it is refused.
 */
export function partitionsOf(model: PlaceableModel, lane: Lane, partitions: readonly Partition[]): Partition[] {
  const serving = partitions.filter(({ lanes }) => lanes.includes(lane));
  if (!wantedLanes(model, partitions).includes(lane)) return [];
  const listing = serving.filter((partition) => lists(partition, model));
  if (listing.length > 0) return listing;
  const unlisted = serving.filter(({ models }) => models === null);
  const suiting = unlisted.filter(({ gpu }) => (gpu !== null) === asksForGpu(model));
  if (suiting.length > 0 || !asksForGpu(model)) return suiting;
  return unlisted.length > 0 ? unlisted : serving.slice(0, 1);
}

export const asksForGpu = ({ plans }: PlaceableModel): boolean => plans.realtime.device === 'gpu';

/** Throws a `PlacementError` for a model that a lane it wants cannot reach, and for one listed where it cannot run. */
export function checkModels(models: readonly PlaceableModel[], partitions: readonly Partition[]): void {
  for (const model of models) {
    const wanted = wantedLanes(model, partitions);
    for (const partition of partitions.filter((each) => lists(each, model))) checkListing(model, wanted, partition);
    const unreached = wanted.filter((lane) => partitionsOf(model, lane, partitions).length === 0);
    if (unreached.length > 0) refuse(model, unreached, partitions);
  }
}

/** Throws a `PlacementError` for a model whose runs need more CPUs than a lane has executors where it is placed. */
export function checkThreads(models: readonly PlaceableModel[], partitions: readonly Partition[]): void {
  for (const model of models) {
    for (const lane of LANES) {
      const { executorThreads } = model.plans[lane];
      for (const { id, executorCpus } of partitionsOf(model, lane, partitions)) {
        const executors = executorCpus[lane].length;
        if (asksForGpu(model) || executorThreads <= executors) continue;
        throw new PlacementError(
          `model "${model.name}" version ${model.version}: ${executorThreads} executorThreads, ` +
            `but the ${lane} lane of partition "${id}" has ${executors} ${executors === 1 ? 'executor' : 'executors'}; ` +
            `write executorThreads: { ${lane}: ${executors} } in its model.yaml, or list it in a partition with more CPUs`,
        );
      }
    }
  }
}

/** Entries of the lists that no model answers to. */
export function unknownModels(models: readonly PlaceableModel[], partitions: readonly Partition[]): { partition: string; entry: string }[] {
  const known = new Set(models.flatMap(({ name, tags }) => [name, ...tags]));
  return partitions.flatMap(({ id, models: entries }) =>
    (entries ?? []).filter((entry) => !known.has(entry)).map((entry) => ({ partition: id, entry })),
  );
}

function wantedLanes({ lanes }: PlaceableModel, partitions: readonly Partition[]): Lane[] {
  return lanes ?? LANES.filter((lane) => partitions.some((partition) => partition.lanes.includes(lane)));
}

function lists({ models }: Partition, { name, tags }: PlaceableModel): boolean {
  return models !== null && [name, ...tags].some((word) => models.includes(word));
}

function checkListing(model: PlaceableModel, wanted: Lane[], { id, lanes, gpu }: Partition): void {
  const { name, version } = model;
  if (gpu !== null && !asksForGpu(model)) {
    throw new PlacementError(
      `partition "${id}" has a GPU and lists model "${name}" version ${version}, which does not ask for one; ` +
        'write device: gpu in its model.yaml or list it elsewhere',
    );
  }
  if (lanes.some((lane) => wanted.includes(lane))) return;
  throw new PlacementError(
    `model "${name}" version ${version}: partition "${id}" lists it but serves the ${lanes.join(' and ')} lane only, ` +
      `and model.yaml says lanes: [${wanted.join(', ')}]; change one of them`,
  );
}

function refuse(model: PlaceableModel, unreached: Lane[], partitions: readonly Partition[]): never {
  const { name, version, tags } = model;
  const subject = `model "${name}" version ${version}`;
  const lane = unreached.join(' and ');
  const serves = partitions.filter(({ lanes }) => lanes.some((each) => unreached.includes(each)));
  const serving = serves.filter(({ gpu }) => gpu === null || asksForGpu(model)).map(({ id }) => `"${id}"`);
  if (serves.length > 0 && serving.length === 0)
    throw new PlacementError(
      `${subject} does not ask for a GPU, and every partition with the ${lane} lane has one; ` +
        'add a partition without, or write device: gpu in its model.yaml',
    );
  if (serving.length === 0)
    throw new PlacementError(
      `${subject}: model.yaml asks for the ${lane} lane, which no partition serves; ` +
        "add it to a partition's lanes or take it out of model.yaml",
    );
  const listing = partitions.filter((partition) => lists(partition, model)).map(({ id }) => `"${id}"`);
  const words = `its name${tags.length > 0 ? ` or a tag of it (${tags.join(', ')})` : ''}`;
  if (listing.length === 0)
    throw new PlacementError(`${subject} is in no partition for the ${lane} lane; add ${words} to the models of ${serving.join(' or ')}`);
  const reached = wantedLanes(model, partitions).filter((each) => !unreached.includes(each));
  throw new PlacementError(
    `${subject} is listed by ${listing.join(', ')}, which ${listing.length === 1 ? 'does' : 'do'} not serve the ${lane} lane; ` +
      `add ${words} to the models of ${serving.join(' or ')}, or write lanes: [${reached.join(', ')}] in its model.yaml`,
  );
}
