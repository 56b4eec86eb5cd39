import type { JSX } from 'preact';
import type { BatchSummary } from '@app/contracts';
import { ago, count, decimal } from '../../format';
import { Table } from '../../parts/table';
import { hrefOf } from '../../route';
import { BatchProgress, BatchState, leftText } from './batch-words';

export function BatchTable({ batches, nowMs }: { batches: readonly BatchSummary[]; nowMs: number }): JSX.Element {
  return (
    <Table
      label="Batches"
      rows={batches}
      keyOf={({ id }) => id}
      columns={[
        { head: 'Batch', cell: (batch) => <BatchName batch={batch} /> },
        { head: 'State', cell: (batch) => <StateWithReason batch={batch} /> },
        { head: 'Done', cell: (batch) => <BatchProgress batch={batch} /> },
        { head: 'Rows', isNumber: true, cell: ({ rows }) => (rows.total === 0 ? '–' : count(rows.total)) },
        { head: 'Failed', isNumber: true, cell: ({ rows }) => <span class={rows.failed > 0 ? 'tone-bad' : ''}>{count(rows.failed)}</span> },
        { head: 'Rows/s', isNumber: true, cell: ({ rowsPerSecond, endedAtMs }) => (endedAtMs === null ? decimal(rowsPerSecond) : '') },
        { head: 'Time left', isNumber: true, cell: (batch) => (batch.endedAtMs === null ? leftText(batch) : '') },
        { head: 'Made', isNumber: true, cell: ({ createdAtMs }) => ago(createdAtMs, nowMs) },
      ]}
    />
  );
}

function BatchName({ batch }: { batch: BatchSummary }): JSX.Element {
  const { id, model, endpoint, tenant, priority } = batch;
  return (
    <>
      <a href={hrefOf('batches', id)}>
        <code>{id}</code>
      </a>
      <span class="sub soft small">
        {[model, endpoint, tenant === 'default' ? null : tenant, priority === 'normal' ? null : `${priority} priority`]
          .filter((part) => part !== null)
          .join(' · ')}
      </span>
    </>
  );
}

function StateWithReason({ batch }: { batch: BatchSummary }): JSX.Element {
  return (
    <>
      <BatchState batch={batch} />
      {batch.paused !== null && !batch.isPausedByRequest && <span class="sub soft small">{batch.paused}</span>}
    </>
  );
}
