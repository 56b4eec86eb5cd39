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

/** What events are made of: what differs between two moments is one. */
export interface NodeFactsNow {
  processes: (Pick<SupervisedProcessStatus, 'id' | 'restarts' | 'reason'> & { lane: Lane | null })[];
  notReady: string | null;
  redisIsReady: boolean | null;
  control: { worker: string; state: BatchControlState; reason: string | null }[];
  quarantined: readonly QuarantinedModel[];
  repositoryEvents: readonly RepositoryEvent[];
  breakers: { name: string; state: BreakerState; reason: string | null }[];
  /** Models in whose place something else answered in the last minute. */
  fallbacks: { model: string; by: string }[];
  /** All that were ever seen here, the newest last. */
  begunBatches: { id: string; total: number }[];
  endedBatches: { id: string; status: BatchStatus; completed: number; failed: number }[];
  pausedBatches: { id: string; reason: string }[];
  nodes: { id: string; state: NodeState }[];
  lostNodes: string[];
  disk: DiskLevel | null;
}

const BATCHES_REMEMBERED_MAX = 1_000;

/** Who does not answer now says what it said before: its silence is no news, its end is. */
export function factsOf(sample: Sample, minute: CounterWindow, before: NodeFactsNow | null): NodeFactsNow {
  const { scheduler, runner, api, fleet, disk } = sample;
  const batches = runner?.batches.filter(({ total }) => total > 0) ?? [];
  return {
    processes: scheduler.processes.map(({ id, restarts, reason }) => {
      return { id, restarts, reason, lane: scheduler.workers.find((worker) => worker.id === id)?.lane ?? null };
    }),
    notReady: api === null ? (before?.notReady ?? null) : api.missing,
    redisIsReady: runner?.redisIsReady ?? before?.redisIsReady ?? null,
    control: scheduler.laneControl?.batchWorkers.map(({ worker, state, reason }) => ({ worker, state, reason })) ?? [],
    quarantined: scheduler.placement.quarantined ?? [],
    repositoryEvents: scheduler.events,
    breakers: (api?.breakers ?? before?.breakers ?? []).map(({ name, state, reason }) => ({ name, state, reason })),
    fallbacks: fallbacksOf(sample, minute),
    begunBatches: remembered(
      before?.begunBatches,
      batches.map(({ id, total }) => ({ id, total })),
    ),
    endedBatches: remembered(
      before?.endedBatches,
      (runner?.ended ?? []).map(({ id, status, completed, failed }) => ({ id, status, completed, failed })),
    ),
    pausedBatches:
      runner === null
        ? (before?.pausedBatches ?? [])
        : batches.flatMap(({ id, paused }) => (paused === null ? [] : [{ id, reason: paused }])),
    nodes: fleet?.nodes.map(({ id, state }) => ({ id, state })) ?? before?.nodes ?? [],
    lostNodes: fleet?.lost.map(({ id }) => id) ?? before?.lostNodes ?? [],
    disk: disk === null ? (before?.disk ?? null) : diskLevel(disk),
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

function remembered<T extends { id: string }>(before: readonly T[] = [], now: readonly T[]): T[] {
  const known = new Set(before.map(({ id }) => id));
  return [...before, ...now.filter(({ id }) => !known.has(id))].slice(-BATCHES_REMEMBERED_MAX);
}
