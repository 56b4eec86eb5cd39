import type { ChunkSpan } from '@app/contracts';
import { stateOf, tracksOf } from './tracks';

const span = (firstChunk: number, at: Partial<ChunkSpan>): ChunkSpan => ({
  firstChunk,
  chunks: 1,
  firstRow: 0,
  rows: 10,
  states: { committed: 1 },
  completed: 10,
  failed: 0,
  beganAtMs: null,
  endedAtMs: null,
  attempts: 1,
  putBacks: 0,
  putBackReason: null,
  nodes: ['a'],
  failures: {},
  ...at,
});

describe('a timeline of chunks', () => {
  it('puts what runs beside each other on lines of its own, by node', () => {
    const spans = [
      span(0, { beganAtMs: 0, endedAtMs: 10 }),
      span(1, { beganAtMs: 5, endedAtMs: 12 }),
      span(2, { beganAtMs: 10, endedAtMs: 20 }),
      span(3, { beganAtMs: 3, endedAtMs: null, nodes: ['a', 'b'] }),
      span(4, { beganAtMs: 15, endedAtMs: 16, nodes: ['b'] }),
      span(5, {}),
      span(6, { beganAtMs: 1, nodes: [] }),
    ];
    const tracks = tracksOf(spans, 30).map(({ node, spans: onIt }) => [node, onIt.map(({ firstChunk }) => firstChunk)]);
    expect(tracks).toEqual([
      ['a', [0, 2]],
      ['a', [1]],
      ['b', [3]],
      ['b', [4]],
      [null, [6]],
    ]);
  });

  it.each([
    [{ states: { returned: 1, committed: 3 } }, 'returned'],
    [{ states: { running: 1 } }, 'running'],
    [{ endedAtMs: 4, failed: 2 }, 'failed'],
    [{ endedAtMs: 4 }, 'done'],
  ])('%j is %s', (at, state) => expect(stateOf(span(0, at))).toBe(state));
});
