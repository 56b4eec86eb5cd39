import { ChunkTable, type ChunkResult } from '@app/batches';
import { TIMELINE_SPANS_MAX } from '@app/contracts';
import { ChunkLedger } from '../chunks/chunk-ledger';
import { chunkProgress, doerOf } from '../chunks/chunk-report';
import { ChunkTimelineRecorder } from './chunk-timeline';

const ROWS = 4;

const tableOf = (chunks: number): ChunkTable =>
  ChunkTable.of(
    Array.from({ length: chunks }, (_, index) => ({ index, offset: index, end: 0, firstRow: index * ROWS, rowCount: ROWS, firstLine: 1 })),
    { byteCount: chunks, rowCount: chunks * ROWS },
  );

const resultOf = (index: number): ChunkResult => ({
  index,
  completed: 3,
  failed: 1,
  outputBytes: 1,
  errorBytes: 1,
  failures: { internal: 1 },
});

function begin(chunks: number, before: ConstructorParameters<typeof ChunkTimelineRecorder>[1] = null) {
  let nowMs = 1_000;
  const recorder = new ChunkTimelineRecorder(tableOf(chunks), before, () => nowMs);
  const ledger = new ChunkLedger('batch_x', chunks, Date.now, (...move) => recorder.moved(...move));
  ledger.open();
  return { recorder, ledger, at: (ms: number) => (nowMs = ms) };
}

describe('the timeline of chunks', () => {
  it('tells of a chunk from its beginning to its end', () => {
    const { recorder, ledger, at } = begin(2);
    ledger.take(() => 'a');
    at(2_000);
    ledger.note(0, 'a', 'running');
    recorder.workedOnBy(0, 'node-1');
    expect(recorder.read(ledger).spans[0]).toMatchObject({ states: { running: 1 }, beganAtMs: 2_000, endedAtMs: null, attempts: 1 });
    ledger.commit(resultOf(0));
    recorder.committed(0, { node: 'node-1', beganAtMs: 1_900, endedAtMs: 2_500 });
    expect(recorder.read(ledger)).toEqual({
      chunks: 2,
      chunksPerSpan: 1,
      states: { pending: 1, queued: 0, running: 0, returned: 0, committed: 1 },
      putBacks: 0,
      atMs: 2_000,
      spans: [
        {
          firstChunk: 0,
          chunks: 1,
          firstRow: 0,
          rows: 4,
          states: { committed: 1 },
          completed: 3,
          failed: 1,
          beganAtMs: 1_900,
          endedAtMs: 2_500,
          attempts: 1,
          putBacks: 0,
          putBackReason: null,
          nodes: ['node-1'],
          failures: { internal: 1 },
        },
        expect.objectContaining({ firstChunk: 1, firstRow: 4, states: { pending: 1 }, attempts: 0, beganAtMs: null }),
      ],
    });
  });

  it.each([
    ['returned' as const, 'the disk is full'],
    ['queued' as const, null],
  ])('counts a chunk that is put back (%s), and says why', (state, reason) => {
    const { recorder, ledger } = begin(1);
    ledger.take(() => 'a');
    ledger.note(0, 'a', 'running');
    ledger.note(0, 'a', state);
    if (reason !== null) recorder.putBackBecause(0, reason);
    ledger.note(0, 'a', 'running');
    const { putBacks, spans } = recorder.read(ledger);
    expect(putBacks).toBe(1);
    expect(spans[0]).toMatchObject({ attempts: 2, putBacks: 1, putBackReason: reason ?? 'its node ended, or was lost' });
  });

  it('puts chunks together where there are many', () => {
    const chunks = TIMELINE_SPANS_MAX * 2 + 1;
    const { recorder, ledger } = begin(chunks);
    for (const index of [0, 1, chunks - 1]) {
      ledger.commit(resultOf(index));
      recorder.committed(index, { node: `node-${index}`, beganAtMs: 10 + index, endedAtMs: 20 + index });
    }
    const { spans, chunksPerSpan, states } = recorder.read(ledger);
    expect([spans.length <= TIMELINE_SPANS_MAX, chunksPerSpan, states.committed]).toEqual([true, 3, 3]);
    expect(spans[0]).toMatchObject({
      chunks: 3,
      rows: 12,
      states: { committed: 2, pending: 1 },
      completed: 6,
      beganAtMs: 10,
      endedAtMs: 21,
      nodes: ['node-0', 'node-1'],
      failures: { internal: 2 },
    });
    expect(spans.reduce((sum, span) => sum + span.chunks, 0)).toBe(chunks);
  });

  it('goes on with what an owner before wrote, unless the chunks are others', () => {
    const first = begin(2);
    first.ledger.take(() => 'a');
    first.ledger.note(0, 'a', 'running');
    first.ledger.note(0, 'a', 'queued');
    first.recorder.workedOnBy(0, 'node-1');
    const before = first.recorder.read(first.ledger);
    const second = begin(2, before);
    second.ledger.recover(new Map([[0, resultOf(0)]]));
    second.at(5_000);
    second.recorder.recovered(second.ledger);
    expect(second.recorder.read(second.ledger).spans[0]).toMatchObject({
      states: { committed: 1 },
      beganAtMs: 1_000,
      endedAtMs: 5_000,
      attempts: 2,
      nodes: ['node-1'],
    });
    const third = begin(3, before);
    expect(third.recorder.read(third.ledger).putBacks).toBe(0);
  });

  it('is stale once something happened', () => {
    const { recorder, ledger } = begin(1);
    recorder.read(ledger);
    expect(recorder.isStale).toBe(false);
    ledger.take(() => 'a');
    expect(recorder.isStale).toBe(true);
  });
});

describe('what nodes tell of chunks', () => {
  it.each([
    [7, { rows: 7, node: null }],
    [
      { rows: 7, node: 'a' },
      { rows: 7, node: 'a' },
    ],
    [{ rows: -1, node: 'a' }, null],
    [{ rows: 1, node: 'x'.repeat(65) }, null],
    ['7', null],
    [null, null],
  ])('reads %j', (value, expected) => expect(chunkProgress(value)).toEqual(expected));

  it.each([
    [{ node: 'a', beganAtMs: 1, endedAtMs: 2 }, true],
    [{ node: 'a', beganAtMs: 1 }, false],
    [{ node: 5, beganAtMs: 1, endedAtMs: 2 }, false],
    [undefined, false],
  ])('believes %j: %s', (doer, isBelieved) => expect(doerOf({ doer }) !== null).toBe(isBelieved));
});
