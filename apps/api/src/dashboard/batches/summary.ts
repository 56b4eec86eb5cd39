import { isTerminal, type BatchView, type FoundBatch } from '@app/batches';
import type { BatchAction, BatchSummary } from '@app/contracts';

export function summaryOf({ manifest, view, isPausedByRequest }: FoundBatch): BatchSummary {
  const { interleave, request_counts: counts } = view;
  const { progress, not_run: notRun = 0 } = interleave;
  return {
    id: view.id,
    status: view.status,
    paused: interleave.paused ?? null,
    isPausedByRequest,
    endpoint: view.endpoint,
    model: view.model ?? null,
    tenant: manifest.tenant,
    priority: interleave.priority,
    rows: { ...counts, failed: counts.failed - notRun, notRun },
    rowsPerSecond: progress?.rows_per_second ?? null,
    secondsLeft: progress?.seconds_left ?? null,
    createdAtMs: view.created_at * 1000,
    beganAtMs: msOf(view.in_progress_at),
    endedAtMs: msOf(view.completed_at ?? view.failed_at ?? view.expired_at ?? view.cancelled_at),
    expiresAtMs: msOf(view.expires_at),
    actions: actionsOf(view, isPausedByRequest, manifest.isDryRun === true),
  };
}

const msOf = (seconds: number | null): number | null => (seconds === null ? null : seconds * 1000);

/** What `BatchService` takes, as far as the batch alone tells; it decides. */
function actionsOf(
  { status, in_progress_at: beganAt, request_counts: rows }: BatchView,
  isPaused: boolean,
  isDryRun: boolean,
): BatchAction[] {
  if (status === 'validating' || status === 'in_progress') return [isPaused ? 'resume' : 'pause', 'cancel', 'priority'];
  if (!isTerminal(status)) return [];
  return beganAt !== null && !isDryRun && rows.completed < rows.total ? ['retry', 'delete'] : ['delete'];
}
