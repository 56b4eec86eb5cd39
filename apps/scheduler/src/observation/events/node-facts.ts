import type {
  BatchControlState,
  BatchStatus,
  BreakerState,
  Lane,
  NodeState,
  QuarantinedModel,
  RepositoryEvent,
  SupervisedProcessStatus,
} from '@app/contracts';
import type { CounterWindow } from '../sample/counter-window';
import type { Sample } from '../sample/sample';
import { diskLevel, type DiskLevel } from './disk-level';

/** What events are made of: what differs between two moments is one. Null: not known yet; that it becomes known is no event. */
export interface NodeFactsNow {
  processes: (Pick<SupervisedProcessStatus, 'id' | 'restarts' | 'reason'> & { lane: Lane | null })[];
  readiness: { notReady: string | null } | null;
  redisIsReady: boolean | null;
  control: { worker: string; state: BatchControlState; reason: string | null }[];
  quarantined: readonly QuarantinedModel[];
  repositoryEvents: readonly RepositoryEvent[];
  breakers: { name: string; state: BreakerState; reason: string | null }[] | null;
  /** Models in whose place something else answered in the last minute. */
  fallbacks: { model: string; by: string }[];
  /** All that were ever seen here, the newest last. `done`: its rows that were, when it was first seen. */
  begunBatches: { id: string; total: number; done: number }[] | null;
  endedBatches: { id: string; status: BatchStatus; completed: number; failed: number }[] | null;
  pausedBatches: { id: string; reason: string }[] | null;
  nodes: { id: string; state: NodeState }[] | null;
  lostNodes: string[] | null;
  disk: { level: DiskLevel; hasBatchFiles: boolean } | null;
}

const BATCHES_REMEMBERED_MAX = 1_000;

/** Who does not answer now says what it said before: its silence is no news, its end is. */
export function factsOf(sample: Sample, minute: CounterWindow, before: NodeFactsNow | null): NodeFactsNow {
  const { scheduler, runner, api, disk } = sample;
  const batches = runner?.batches.filter(({ total }) => total > 0);
  // An API process that has just started knows of its own node only.
  const fleet = sample.fleet === null || sample.fleet.ageMs === null ? null : sample.fleet;
  return {
    processes: scheduler.processes.map(({ id, restarts, reason }) => {
      return { id, restarts, reason, lane: scheduler.workers.find((worker) => worker.id === id)?.lane ?? null };
    }),
    readiness: api === null ? (before?.readiness ?? null) : { notReady: api.missing },
    redisIsReady: runner?.redisIsReady ?? before?.redisIsReady ?? null,
    control: scheduler.laneControl?.batchWorkers.map(({ worker, state, reason }) => ({ worker, state, reason })) ?? [],
    quarantined: scheduler.placement.quarantined ?? [],
    repositoryEvents: scheduler.events,
    breakers: (api?.breakers ?? before?.breakers)?.map(({ name, state, reason }) => ({ name, state, reason })) ?? null,
    fallbacks: fallbacksOf(sample, minute),
    begunBatches: remembered(
      before?.begunBatches,
      batches?.map(({ id, total, completed, failed }) => ({ id, total, done: completed + failed })),
    ),
    endedBatches: remembered(
      before?.endedBatches,
      runner?.ended?.map(({ id, status, completed, failed }) => ({ id, status, completed, failed })),
    ),
    pausedBatches: batches?.flatMap(({ id, paused }) => (paused === null ? [] : [{ id, reason: paused }])) ?? before?.pausedBatches ?? null,
    nodes: fleet?.nodes.map(({ id, state }) => ({ id, state })) ?? before?.nodes ?? null,
    lostNodes: fleet?.lost.map(({ id }) => id) ?? before?.lostNodes ?? null,
    disk: disk === null ? (before?.disk ?? null) : { level: diskLevel(disk), hasBatchFiles: disk.hasBatchFiles },
  };
}

function fallbacksOf({ metrics }: Sample, minute: CounterWindow): NodeFactsNow['fallbacks'] {
  return metrics.labels('interleave_degraded_total', 'model').flatMap((model) =>
    minute
      .values('interleave_degraded_total', { model }, 'by')
      .filter((by) => minute.grown('interleave_degraded_total', { model, by }) > 0)
      .map((by) => ({ model, by })),
  );
}

function remembered<T extends { id: string }>(before: readonly T[] | null | undefined, now: readonly T[] | undefined): T[] | null {
  if (now === undefined) return before === undefined || before === null ? null : [...before];
  const known = new Set(before?.map(({ id }) => id));
  return [...(before ?? []), ...now.filter(({ id }) => !known.has(id))].slice(-BATCHES_REMEMBERED_MAX);
}
