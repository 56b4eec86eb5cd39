import type { ChunkResult } from '@app/batches';
import { ChunkLedger, ChunkNotWanted, type ChunkState, type WaitingChunk } from './chunk-ledger';

const STATES = ['pending', 'queued', 'running', 'returned', 'committed'] as const;
const OPERATIONS = ['take', 'start', 'commit', 'putBack', 'lose', 'recover with a result', 'recover without', 'abort'] as const;
type Operation = (typeof OPERATIONS)[number];

const resultOf = (index: number): ChunkResult => ({ index, completed: 2, failed: 1, outputBytes: 9, errorBytes: 3 });

/** What each operation makes of a chunk in each state; `throws`: it is refused, and the chunk stays what it is. */
const MATRIX: Record<Operation, Record<ChunkState, ChunkState | 'throws'>> = {
  take: { pending: 'queued', queued: 'queued', running: 'running', returned: 'returned', committed: 'committed' },
  start: { pending: 'running', queued: 'running', running: 'running', returned: 'running', committed: 'committed' },
  commit: { pending: 'throws', queued: 'throws', running: 'committed', returned: 'throws', committed: 'throws' },
  putBack: { pending: 'throws', queued: 'throws', running: 'returned', returned: 'throws', committed: 'throws' },
  lose: { pending: 'pending', queued: 'pending', running: 'running', returned: 'pending', committed: 'committed' },
  'recover with a result': {
    pending: 'committed',
    queued: 'committed',
    running: 'throws',
    returned: 'committed',
    committed: 'committed',
  },
  'recover without': { pending: 'pending', queued: 'queued', running: 'throws', returned: 'returned', committed: 'pending' },
  abort: { pending: 'pending', queued: 'queued', running: 'running', returned: 'returned', committed: 'committed' },
};

/** A ledger of one chunk in a state, and the chunk as it was last listed as waiting. */
function ledgerIn(state: ChunkState): { ledger: ChunkLedger; listed: WaitingChunk; stop: AbortController | null } {
  const ledger = new ChunkLedger('batch_x', 1);
  ledger.open();
  let listed = ledger.take(0) as WaitingChunk;
  if (state === 'pending') ledger.lose(listed);
  const stop = state === 'pending' || state === 'queued' ? null : ledger.start(0, 'job');
  if (state === 'returned') ledger.putBack(0);
  if (state === 'committed') ledger.commit(resultOf(0));
  listed = ledger.waiting()[0] ?? listed;
  expect(ledger.stateOf(0)).toBe(state);
  return { ledger, listed, stop };
}

function apply(operation: Operation, { ledger, listed }: ReturnType<typeof ledgerIn>): unknown {
  switch (operation) {
    case 'take':
      return ledger.take(1);
    case 'start':
      return ledger.start(0, 'job');
    case 'commit':
      return ledger.commit(resultOf(0));
    case 'putBack':
      return ledger.putBack(0);
    case 'lose':
      return ledger.lose(listed);
    case 'recover with a result':
      return ledger.recover(new Map([[0, resultOf(0)]]));
    case 'recover without':
      return ledger.recover(new Map());
    case 'abort':
      return ledger.abort('put_back');
  }
}

describe('ChunkLedger', () => {
  const cases = OPERATIONS.flatMap((operation) => STATES.map((state) => [operation, state, MATRIX[operation][state]] as const));

  it.each(cases)('%s when %s: %s', (operation, state, expected) => {
    const chunk = ledgerIn(state);
    if (expected === 'throws') expect(() => apply(operation, chunk)).toThrow();
    else apply(operation, chunk);
    const after = expected === 'throws' ? state : expected;
    expect(chunk.ledger.stateOf(0)).toBe(after);
    expect(STATES.map((other) => chunk.ledger.count(other))).toEqual(STATES.map((other) => (other === after ? 1 : 0)));
    expect(chunk.ledger.isComplete).toBe(after === 'committed');
  });

  it.each(STATES)('neither takes nor starts a chunk that is %s while it is closed', (state) => {
    const { ledger } = ledgerIn(state);
    ledger.close();
    expect(ledger.take(1)).toBeNull();
    expect(() => ledger.start(0, 'job')).toThrow(ChunkNotWanted);
    expect(ledger.stateOf(0)).toBe(state);
  });

  it('starts a chunk once, and stops what runs', () => {
    const { ledger, stop } = ledgerIn('running');
    expect(ledger.start(0, 'again')).toBeNull();
    ledger.abort('batch_cancelled');
    expect(stop?.signal.reason).toBe('batch_cancelled');
    ledger.commit(resultOf(0));
    expect(ledger.start(0, 'again')).toBeNull();
  });

  it('refuses chunks that the batch does not have', () => {
    const { ledger } = ledgerIn('pending');
    for (const index of [-1, 1, 0.5, NaN]) expect(() => ledger.start(index, 'job')).toThrow(ChunkNotWanted);
  });

  it('deals the chunks out in order, those that were lost before the others', () => {
    const ledger = new ChunkLedger('batch_x', 5);
    ledger.recover(new Map([[1, resultOf(1)]]));
    ledger.open();
    const taken = [10, 11, 12].map((handOver) => ledger.take(handOver) as WaitingChunk);
    expect(taken.map(({ index, jobId }) => [index, jobId])).toEqual([
      [0, 'batch_x-0-10'],
      [2, 'batch_x-2-11'],
      [3, 'batch_x-3-12'],
    ]);
    for (const chunk of taken.slice(1)) ledger.lose(chunk);
    expect([13, 14, 15, 16].map((handOver) => ledger.take(handOver)?.jobId)).toEqual([
      'batch_x-2-13',
      'batch_x-3-14',
      'batch_x-4-15',
      undefined,
    ]);
  });

  it('keeps a chunk that moved on since it was listed as waiting', () => {
    const { ledger, listed } = ledgerIn('queued');
    ledger.start(0, 'job');
    ledger.putBack(0);
    ledger.lose(listed);
    expect(ledger.stateOf(0)).toBe('returned');
  });

  it('knows the job that brings a chunk back, and since when it waits', () => {
    const ledger = new ChunkLedger('batch_x', 1, () => 77);
    ledger.open();
    ledger.take(0);
    ledger.start(0, 'a late job');
    ledger.putBack(0);
    expect(ledger.waiting()).toEqual([{ state: 'returned', index: 0, jobId: 'a late job', sinceMs: 77 }]);
  });

  it('adds up the rows of what is committed', () => {
    const ledger = new ChunkLedger('batch_x', 3);
    ledger.recover(new Map([0, 2].map((index) => [index, resultOf(index)])));
    expect(ledger.rows()).toEqual({ completed: 4, failed: 2 });
    expect([ledger.resultOf(0), ledger.resultOf(1)]).toEqual([resultOf(0), null]);
  });
});
