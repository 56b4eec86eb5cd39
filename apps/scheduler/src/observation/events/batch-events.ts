import type { BatchStatus, VerdictLevel } from '@app/contracts';
import type { NewEvent } from './new-event';
import type { NodeFactsNow } from './node-facts';

type Facts = Pick<NodeFactsNow, 'begunBatches' | 'endedBatches' | 'pausedBatches'>;

export function batchEvents(before: Facts, after: Facts): NewEvent[] {
  const isNew = <T extends { id: string }>(list: readonly T[] | null, known: readonly { id: string }[] | null): T[] =>
    list === null || known === null ? [] : list.filter(({ id }) => !known.some((other) => other.id === id));
  // One that comes with rows done went on from another node, or from before this runner started.
  const begun = isNew(after.begunBatches, before.begunBatches).filter(({ done }) => done === 0);
  return [
    ...begun.map(({ id, total }): NewEvent => {
      const meaning = 'Its rows run on CPU time that live requests leave.';
      return { kind: 'batch', level: 'ok', text: `Batch ${id} began: ${count(total)} rows.`, meaning, advice: null, subject: id };
    }),
    ...isNew(after.pausedBatches, before.pausedBatches).map(({ id, reason }): NewEvent => {
      const meaning = 'None of its rows run until it goes on.';
      return { kind: 'batch', level: 'ok', text: `Batch ${id} is paused: ${reason}.`, meaning, advice: null, subject: id };
    }),
    ...isNew(after.endedBatches, before.endedBatches).map(ended),
  ];
}

const LEVELS: Partial<Record<BatchStatus, VerdictLevel>> = { failed: 'watch', expired: 'watch' };

function ended({ id, status, completed, failed }: NonNullable<Facts['endedBatches']>[number]): NewEvent {
  if (status === 'cancelled') {
    const text = `Batch ${id} was cancelled after ${count(completed)} completed rows.`;
    return {
      kind: 'batch',
      level: 'ok',
      text,
      meaning: 'Rows that were done are in its output and error files.',
      advice: null,
      subject: id,
    };
  }
  const isFailed = status === 'failed';
  const hasFailures = failed > 0;
  return {
    kind: 'batch',
    level: LEVELS[status] ?? (hasFailures ? 'watch' : 'ok'),
    text: `Batch ${id} ${isFailed ? 'failed' : `is ${status}`}: ${count(completed)} rows completed, ${count(failed)} failed.`,
    meaning: isFailed ? 'Nothing of it was run, or it could not go on.' : 'Its lines are in its output and error files.',
    advice: isFailed ? 'Its page and "interleave batch status" say why.' : hasFailures ? 'Its error file says why each row failed.' : null,
    subject: id,
  };
}

const count = (rows: number): string => rows.toLocaleString('en-US');
