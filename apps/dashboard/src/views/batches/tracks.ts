import type { ChunkSpan } from '@app/contracts';

/** Spans that follow each other on one line; those of one node are together. */
export interface Track {
  /** Null: it was not told yet. */
  node: string | null;
  spans: ChunkSpan[];
}

/**
 * Lines of a timeline: each span that has begun is put on the first line of its node that is free by then. `nowMs`: the end of what
 * still runs.
 */
export function tracksOf(spans: readonly ChunkSpan[], nowMs: number): Track[] {
  const tracks: (Track & { freeAtMs: number })[] = [];
  const begun = spans.filter(({ beganAtMs }) => beganAtMs !== null).sort((a, b) => (a.beganAtMs ?? 0) - (b.beganAtMs ?? 0));
  for (const span of begun) {
    const node = span.nodes.at(-1) ?? null;
    const beganAtMs = span.beganAtMs ?? 0;
    let track = tracks.find((each) => each.node === node && each.freeAtMs <= beganAtMs);
    if (track === undefined) tracks.push((track = { node, spans: [], freeAtMs: 0 }));
    track.spans.push(span);
    track.freeAtMs = endOf(span, nowMs);
  }
  return tracks.sort((a, b) => rank(a.node, b.node)).map(({ node, spans: onIt }) => ({ node, spans: onIt }));
}

/** By name, and those without one last. */
function rank(a: string | null, b: string | null): number {
  if (a === b) return 0;
  return a === null || (b !== null && a > b) ? 1 : -1;
}

/** Of several chunks some may be done while others run. */
export const endOf = ({ states, endedAtMs }: ChunkSpan, nowMs: number): number =>
  (states.running ?? 0) > 0 ? nowMs : (endedAtMs ?? nowMs);

export type SpanState = 'running' | 'returned' | 'failed' | 'done';

/** The state that matters most of a span of several chunks. */
export function stateOf({ states, failed, endedAtMs }: ChunkSpan): SpanState {
  if ((states.returned ?? 0) > 0) return 'returned';
  if ((states.running ?? 0) > 0 || endedAtMs === null) return 'running';
  return failed > 0 ? 'failed' : 'done';
}
