import type { ChunkResult } from '@app/batches';
import type { ChunkState } from '@app/contracts';
import { ChunkLedger } from './chunk-ledger';

const STATES = ['pending', 'queued', 'running', 'returned', 'committed'] as const;
const OPERATIONS = ['take', 'adopt', 'note running', 'note queued', 'commit', 'lose', 'recover with a result', 'recover without'] as const;
type Operation = (typeof OPERATIONS)[number];

const resultOf = (index: number): ChunkResult => ({
  index,
  completed: 2,
  failed: 1,
  outputBytes: 9,
  errorBytes: 3,
  failures: { internal: 1 },
});

/** What each operation, by the chunk's own job, makes of a chunk in each state. */
const MATRIX: Record<Operation, Record<ChunkState, ChunkState>> = {
  take: { pending: 'queued', queued: 'queued', running: 'running', returned: 'returned', committed: 'committed' },
  adopt: { pending: 'running', queued: 'queued', running: 'running', returned: 'returned', committed: 'committed' },
  'note running': { pending: 'pending', queued: 'running', running: 'running', returned: 'running', committed: 'committed' },
  'note queued': { pending: 'pending', queued: 'queued', running: 'queued', returned: 'queued', committed: 'committed' },
  commit: { pending: 'committed', queued: 'committed', running: 'committed', returned: 'committed', committed: 'committed' },
  lose: { pending: 'pending', queued: 'pending', running: 'pending', returned: 'pending', committed: 'committed' },
  'recover with a result': {
    pending: 'committed',
    queued: 'committed',
    running: 'committed',
    returned: 'committed',
    committed: 'committed',
  },
  'recover without': { pending: 'pending', queued: 'queued', running: 'running', returned: 'returned', committed: 'pending' },
};

function ledgerIn(state: ChunkState): ChunkLedger {
  const ledger = new ChunkLedger('batch_x', 1);
  ledger.open();
  if (state !== 'pending') ledger.take(() => 'job');
  if (state === 'running' || state === 'returned') ledger.note(0, 'job', state);
  if (state === 'committed') ledger.commit(resultOf(0));
  expect(ledger.stateOf(0)).toBe(state);
  return ledger;
}

function apply(operation: Operation, ledger: ChunkLedger, jobId: string): void {
  switch (operation) {
    case 'take':
      return void ledger.take(() => jobId);
    case 'adopt':
      return ledger.adopt(0, jobId, 'running');
    case 'note running':
      return ledger.note(0, jobId, 'running');
    case 'note queued':
      return ledger.note(0, jobId, 'queued');
    case 'commit':
      return void ledger.commit(resultOf(0));
    case 'lose':
      return ledger.lose({ index: 0, jobId });
    case 'recover with a result':
      return ledger.recover(new Map([[0, resultOf(0)]]));
    case 'recover without':
      return ledger.recover(new Map());
  }
}

describe('ChunkLedger', () => {
  const cases = OPERATIONS.flatMap((operation) => STATES.map((state) => [operation, state, MATRIX[operation][state]] as const));

  it.each(cases)('%s when %s: %s', (operation, state, expected) => {
    const ledger = ledgerIn(state);
    apply(operation, ledger, 'job');
    expect(ledger.stateOf(0)).toBe(expected);
    expect(STATES.map((other) => ledger.count(other))).toEqual(STATES.map((other) => (other === expected ? 1 : 0)));
    expect(ledger.isComplete).toBe(expected === 'committed');
  });

  it.each(['note running', 'note queued', 'lose'] as const)('%s: by another job than the chunk has, nothing happens', (operation) => {
    for (const state of STATES) {
      const ledger = ledgerIn(state);
      apply(operation, ledger, 'another job');
      expect(ledger.stateOf(0)).toBe(state);
    }
  });

  it('takes nothing while it is closed', () => {
    const ledger = ledgerIn('pending');
    ledger.close();
    expect(ledger.take(() => 'job')).toBeNull();
  });

  it('takes no notice of chunks that the batch does not have', () => {
    const ledger = ledgerIn('pending');
    for (const index of [-1, 1, 0.5, NaN]) {
      ledger.adopt(index, 'job', 'running');
      ledger.note(index, 'job', 'running');
      ledger.lose({ index, jobId: 'job' });
      expect(ledger.commit(resultOf(index))).toBe(false);
    }
    expect(ledger.count('pending')).toBe(1);
  });

  it('deals the chunks out in order, those that were lost before the others', () => {
    const ledger = new ChunkLedger('batch_x', 5);
    ledger.recover(new Map([[1, resultOf(1)]]));
    ledger.open();
    const take = () => ledger.take((index) => `job-${index}`);
    const taken = [take(), take(), take()];
    expect(taken.map((chunk) => [chunk?.index, chunk?.jobId])).toEqual([
      [0, 'job-0'],
      [2, 'job-2'],
      [3, 'job-3'],
    ]);
    for (const chunk of taken.slice(1)) if (chunk !== null) ledger.lose(chunk);
    expect([take(), take(), take(), take()].map((chunk) => chunk?.index)).toEqual([2, 3, 4, undefined]);
  });

  it('knows the jobs of chunks, and since when they are as they are', () => {
    let nowMs = 77;
    const ledger = new ChunkLedger('batch_x', 2, () => nowMs);
    ledger.open();
    ledger.take(() => 'job');
    nowMs = 78;
    ledger.note(0, 'job', 'returned');
    expect(ledger.handedChunks()).toEqual([{ state: 'returned', index: 0, jobId: 'job', sinceMs: 78 }]);
  });

  it('counts a result once', () => {
    const ledger = ledgerIn('running');
    expect([ledger.commit(resultOf(0)), ledger.commit(resultOf(0))]).toEqual([true, false]);
  });

  it('adds up the rows of what is committed', () => {
    const ledger = new ChunkLedger('batch_x', 3);
    ledger.recover(new Map([0, 2].map((index) => [index, resultOf(index)])));
    expect(ledger.rows()).toEqual({ completed: 4, failed: 2 });
    expect(ledger.failures()).toEqual({ internal: 2 });
    expect([ledger.resultOf(0), ledger.resultOf(1)]).toEqual([resultOf(0), null]);
  });
});

describe('the chunk that has run longest', () => {
  it('counts from when it was taken, and none that waits or is done', () => {
    let nowMs = 1_000;
    const ledger = new ChunkLedger('batch_1', 3, () => nowMs);
    ledger.open();
    for (const index of [0, 1, 2]) ledger.take(() => `job-${index}`);
    expect(ledger.runningSinceMs).toBeNull();
    for (const index of [1, 0]) {
      nowMs += 1_000;
      ledger.note(index, `job-${index}`, 'running');
    }
    expect(ledger.runningSinceMs).toBe(2_000);
    ledger.commit(resultOf(1));
    expect(ledger.runningSinceMs).toBe(3_000);
  });
});
