import { CHUNK_STATES, SPAN_NAMES_MAX, TIMELINE_SPANS_MAX, type ChunkSpan, type ChunkState, type ChunkTimeline } from '@app/contracts';
import { sumFailures, type ChunkTable } from '@app/batches';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import type { ChunkDoer } from '../chunks/chunk-report';

/** Of one span: what neither the ledger nor the table of chunks knows. */
type Story = Pick<ChunkSpan, 'beganAtMs' | 'endedAtMs' | 'putBacks' | 'putBackReason' | 'nodes'>;

const LOST_REASON = 'its node ended, or was lost';
const REASON_CHARS_MAX = 200;

/** What becomes of the chunks of one batch over time, as its owner hears of it. Memory: at most `TIMELINE_SPANS_MAX` spans. */
export class ChunkTimelineRecorder {
  private readonly spans: Story[];
  private readonly chunksPerSpan: number;
  private hasNews = true;

  /** `before`: what an owner before wrote down; null: nothing. */
  constructor(
    private readonly table: ChunkTable,
    before: ChunkTimeline | null,
    private readonly now: () => number = Date.now,
  ) {
    this.chunksPerSpan = Math.max(1, Math.ceil(table.chunkCount / TIMELINE_SPANS_MAX));
    const known = before?.chunks === table.chunkCount && before.chunksPerSpan === this.chunksPerSpan ? before.spans : [];
    this.spans = Array.from({ length: Math.ceil(table.chunkCount / this.chunksPerSpan) }, (_, at) => storyOf(known[at]));
  }

  /** Something happened since `read`. */
  get isStale(): boolean {
    return this.hasNews;
  }

  moved(index: number, from: ChunkState, to: ChunkState): void {
    this.hasNews = true;
    const span = this.spanOf(index);
    if (to === 'running') span.beganAtMs ??= this.now();
    if (from !== 'running' || to === 'committed') return;
    span.putBacks += 1;
    span.putBackReason = LOST_REASON;
  }

  /** A node tells that it works on the chunk. */
  workedOnBy(index: number, node: string): void {
    const { nodes } = this.spanOf(index);
    if (nodes.includes(node) || nodes.length >= SPAN_NAMES_MAX) return;
    nodes.push(node);
    this.hasNews = true;
  }

  /** The store has its result. `doer` null: it is not known who did it, and when. */
  committed(index: number, doer: ChunkDoer | null): void {
    const span = this.spanOf(index);
    if (doer !== null) {
      this.workedOnBy(index, doer.node);
      span.beganAtMs = Math.min(span.beganAtMs ?? Infinity, doer.beganAtMs);
    }
    span.endedAtMs = Math.max(span.endedAtMs ?? 0, doer?.endedAtMs ?? this.now());
    this.hasNews = true;
  }

  /** Results were found in the store: what nobody told of ended by now at the latest. */
  recovered(ledger: ChunkLedger): void {
    for (const [at, span] of this.spans.entries())
      if (span.endedAtMs === null && this.indexesOf(at).some((index) => ledger.stateOf(index) === 'committed')) span.endedAtMs = this.now();
  }

  /** Why the chunk was put back last. */
  putBackBecause(index: number, reason: string): void {
    this.spanOf(index).putBackReason = reason.slice(0, REASON_CHARS_MAX);
    this.hasNews = true;
  }

  read(ledger: ChunkLedger): ChunkTimeline {
    this.hasNews = false;
    const spans = this.spans.map((story, at) => this.describe(story, at, ledger));
    return {
      chunks: this.table.chunkCount,
      chunksPerSpan: this.chunksPerSpan,
      states: Object.fromEntries(CHUNK_STATES.map((state) => [state, ledger.count(state)])) as ChunkTimeline['states'],
      putBacks: spans.reduce((sum, { putBacks }) => sum + putBacks, 0),
      atMs: this.now(),
      spans,
    };
  }

  private describe(story: Story, at: number, ledger: ChunkLedger): ChunkSpan {
    const indexes = this.indexesOf(at);
    const firstChunk = at * this.chunksPerSpan;
    const states: ChunkSpan['states'] = {};
    for (const index of indexes) states[ledger.stateOf(index)] = (states[ledger.stateOf(index)] ?? 0) + 1;
    const results = indexes.flatMap((index) => ledger.resultOf(index) ?? []);
    return {
      ...story,
      nodes: [...story.nodes],
      firstChunk,
      chunks: indexes.length,
      firstRow: this.table.chunk(firstChunk).firstRow,
      rows: indexes.reduce((sum, index) => sum + this.table.chunk(index).rowCount, 0),
      states,
      completed: results.reduce((sum, { completed }) => sum + completed, 0),
      failed: results.reduce((sum, { failed }) => sum + failed, 0),
      attempts: story.putBacks + (states.running ?? 0) + (states.committed ?? 0),
      failures: sumFailures(results),
    };
  }

  private indexesOf(at: number): number[] {
    const first = at * this.chunksPerSpan;
    return Array.from({ length: Math.min(this.chunksPerSpan, this.table.chunkCount - first) }, (_, i) => first + i);
  }

  private spanOf(index: number): Story {
    const span = this.spans[Math.floor(index / this.chunksPerSpan)];
    if (span === undefined) throw new RangeError(`expected a chunk below ${this.table.chunkCount} but received ${index}`);
    return span;
  }
}

function storyOf(known: ChunkSpan | undefined): Story {
  const { beganAtMs = null, endedAtMs = null, putBacks = 0, putBackReason = null, nodes = [] } = known ?? {};
  return { beganAtMs, endedAtMs, putBacks, putBackReason, nodes: [...nodes] };
}
