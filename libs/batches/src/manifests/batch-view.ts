import { BATCH_PRIORITY_DEFAULT, type BatchObject, type BatchPriority, type BatchProgress } from '@app/contracts';
import { PAUSED_BY_REQUEST, type BatchControl } from './control';
import { notRunRowsOf, type DryRun, type Manifest } from './manifest';

/** What is ours of a batch; official clients ignore it. */
export interface InterleaveView {
  /** Why nothing is worked on. */
  paused?: string;
  priority: BatchPriority;
  progress?: BatchProgress;
  /** Rows that were not run, once the batch is over; they count as failed in `request_counts`. */
  not_run?: number;
  /** The batch whose failed rows these are. */
  retry_of?: string;
  /** Null: not predicted yet. */
  dry_run?: DryRun | null;
}

/** The batch as clients see it. */
export type BatchView = BatchObject & { interleave: InterleaveView };

/** What is known of an open batch beside its manifest, of which its owner may not have heard yet. */
export interface LiveFacts {
  /** Unix seconds of the cancel marker; null: there is none. */
  cancelRequestedAt: number | null;
  control: BatchControl;
}

/** `live` null: of a batch that is over, or was just made. */
export function toBatchView(manifest: Manifest, live: LiveFacts | null): BatchView {
  const { batch } = manifest;
  const cancelRequestedAt = live?.cancelRequestedAt ?? null;
  const isCancelling = cancelRequestedAt !== null && (batch.status === 'validating' || batch.status === 'in_progress');
  const notRun = notRunRowsOf(manifest);
  const paused = pausedBy(manifest, isCancelling ? null : live);
  return {
    ...batch,
    ...(isCancelling ? { status: 'cancelling' as const, cancelling_at: cancelRequestedAt } : {}),
    interleave: {
      ...(paused === null ? {} : { paused }),
      priority: live?.control.priority ?? manifest.priority ?? BATCH_PRIORITY_DEFAULT,
      ...(manifest.progress === undefined ? {} : { progress: manifest.progress }),
      ...(notRun > 0 ? { not_run: notRun } : {}),
      ...(manifest.retryOf === undefined ? {} : { retry_of: manifest.retryOf }),
      ...(manifest.isDryRun === true ? { dry_run: manifest.dryRun ?? null } : {}),
    },
  };
}

/** Somebody who has just paused a batch, let it go on or cancelled it sees that before its owner has. */
function pausedBy({ paused, batch }: Manifest, live: LiveFacts | null): string | null {
  const isOpen = batch.status === 'validating' || batch.status === 'in_progress';
  if (live?.control.isPaused === true && isOpen) return paused ?? PAUSED_BY_REQUEST;
  return paused === PAUSED_BY_REQUEST ? null : paused;
}
