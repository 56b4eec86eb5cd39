import { BATCH_CONTROL_STATES, type ActiveBatchView, type BatchLaneView, type CpuView } from '@app/contracts';
import { rounded, roundedShare } from '../rounded';
import type { CounterWindow } from '../sample/counter-window';
import type { Sample } from '../sample/sample';
import { ratio } from './lanes';

export const BATCHES_MAX = 100;

export function batchLaneView({ scheduler, runner }: Sample, cpus: readonly CpuView[], seconds: CounterWindow): BatchLaneView {
  const control = scheduler.laneControl;
  const workers = control?.batchWorkers ?? [];
  const hardest = [...workers].sort((a, b) => BATCH_CONTROL_STATES.indexOf(b.state) - BATCH_CONTROL_STATES.indexOf(a.state))[0];
  return {
    idleShareUsed: idleShareUsed(scheduler, cpus),
    rowsPerSecond: rounded(seconds.perSecond('interleave_run_rows_sum', { lane: 'batch' })),
    limit: hardest?.state ?? null,
    executors: {
      allowed: workers.reduce((sum, { executors }) => sum + executors, 0),
      all: workers.reduce((sum, { executorsMax }) => sum + executorsMax, 0),
    },
    reason: hardest?.reason ?? null,
    isHeldOff: control?.isHeldOff ?? false,
    guards: control?.guards ?? [],
    chunks: runner?.chunks ?? null,
  };
}

function idleShareUsed({ placement }: Sample['scheduler'], cpus: readonly CpuView[]): number | null {
  const batchCpus = new Set(placement.workers.filter(({ lane }) => lane === 'batch').flatMap((worker) => worker.cpus));
  const shares = cpus.filter(({ cpu }) => batchCpus.has(cpu)).flatMap((view) => view.shares ?? []);
  const batch = shares.reduce((sum, share) => sum + share.batch, 0);
  const used = ratio(batch, batch + shares.reduce((sum, share) => sum + share.idle, 0));
  return used === null ? null : roundedShare(used);
}

export function batchViews({ runner }: Sample): ActiveBatchView[] {
  return (runner?.batches ?? []).slice(0, BATCHES_MAX).map((batch) => ({
    id: batch.id,
    status: batch.status,
    model: batch.model ?? null,
    endpoint: batch.endpoint ?? null,
    total: batch.total,
    completed: batch.completed,
    failed: batch.failed,
    runningChunks: batch.runningChunks,
    rowsPerSecond: batch.progress?.rows_per_second ?? null,
    secondsLeft: batch.progress?.seconds_left ?? null,
    paused: batch.paused,
  }));
}
