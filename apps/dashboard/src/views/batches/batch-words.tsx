import type { JSX } from 'preact';
import type { BatchStatus, BatchSummary } from '@app/contracts';
import { count, left, percent, text } from '../../format';
import { Badge, type Tone } from '../../parts/badge';
import { Meter } from '../../parts/meter';

const STATES: Readonly<Record<BatchStatus, { tone: Tone; word: string }>> = {
  validating: { tone: 'busy', word: 'checking rows' },
  in_progress: { tone: 'busy', word: 'running' },
  finalizing: { tone: 'busy', word: 'writing output' },
  cancelling: { tone: 'busy', word: 'cancelling' },
  completed: { tone: 'ok', word: 'completed' },
  failed: { tone: 'bad', word: 'failed' },
  expired: { tone: 'bad', word: 'expired' },
  cancelled: { tone: 'quiet', word: 'cancelled' },
};

export function BatchState({ batch: { status, paused, isPausedByRequest } }: { batch: BatchSummary }): JSX.Element {
  if (paused !== null) return <Badge tone="watch">{isPausedByRequest ? 'paused' : 'waiting'}</Badge>;
  const { tone, word } = STATES[status];
  return <Badge tone={tone}>{word}</Badge>;
}

/** 0 to 1; null: its rows are not counted yet. */
export const doneShare = ({ rows }: Pick<BatchSummary, 'rows'>): number | null =>
  rows.total === 0 ? null : (rows.completed + rows.failed) / rows.total;

export function BatchProgress({ batch }: { batch: BatchSummary }): JSX.Element {
  const share = doneShare(batch);
  return (
    <span class="with-meter">
      <Meter share={share} label={`Rows done of ${batch.id}`} fill="batch" /> {text(percent(share))}
    </span>
  );
}

export function rowsText({ rows, endedAtMs }: BatchSummary): string {
  if (rows.total === 0) return endedAtMs === null ? 'not counted yet' : 'not counted';
  return `${count(rows.completed + rows.failed)} of ${count(rows.total)}`;
}

/** As a range: a prediction is no promise. */
export function leftText({ secondsLeft }: Pick<BatchSummary, 'secondsLeft'>): string {
  if (secondsLeft === null) return 'not known';
  const { low, high } = secondsLeft;
  return left(low) === left(high) ? left(low) : `${left(low)} to ${left(high)}`;
}
