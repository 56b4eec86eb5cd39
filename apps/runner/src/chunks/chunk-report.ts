import type { ChunkResult } from '@app/batches';

const NODE_CHARS_MAX = 64;

/** Redis is another program's memory: what comes out of it is checked. */
export function isChunkResult(value: unknown): value is ChunkResult {
  const fields: (keyof ChunkResult)[] = ['index', 'completed', 'failed', 'outputBytes', 'errorBytes'];
  if (typeof value !== 'object' || value === null || !fields.every((name) => isCount((value as ChunkResult)[name]))) return false;
  const { failures } = value as Partial<ChunkResult>;
  return typeof failures === 'object' && failures !== null && Object.values(failures).every(isCount);
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

/** Who did a chunk, and when, in Unix milliseconds. */
export interface ChunkDoer {
  node: string;
  beganAtMs: number;
  endedAtMs: number;
}

/** What a chunk's job answers. `doer` is absent where another node did the chunk, or one of a former release. */
export type DoneChunk = ChunkResult & { doer?: ChunkDoer };

/** Null: it says nothing of that, or nothing that could be meant. */
export function doerOf({ doer }: { doer?: unknown }): ChunkDoer | null {
  if (typeof doer !== 'object' || doer === null) return null;
  const { node, beganAtMs, endedAtMs } = doer as Partial<Record<keyof ChunkDoer, unknown>>;
  return isNodeId(node) && isCount(beganAtMs) && isCount(endedAtMs) ? { node, beganAtMs, endedAtMs } : null;
}

/** How far a chunk is that runs. */
export interface ChunkProgress {
  /** That have a line. */
  rows: number;
  /** Null: it is of a former release, which told the rows alone. */
  node: string | null;
}

/** Null: it is something else. */
export function chunkProgress(value: unknown): ChunkProgress | null {
  if (isCount(value)) return { rows: value, node: null };
  if (typeof value !== 'object' || value === null) return null;
  const { rows, node } = value as Partial<Record<keyof ChunkProgress, unknown>>;
  return isCount(rows) && isNodeId(node) ? { rows, node } : null;
}

const isNodeId = (value: unknown): value is string => typeof value === 'string' && value.length <= NODE_CHARS_MAX;
