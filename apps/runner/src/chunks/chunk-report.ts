import type { ChunkResult } from '@app/batches';

/** Redis is another program's memory: what comes out of it is checked. */
export function isChunkResult(value: unknown): value is ChunkResult {
  const fields: (keyof ChunkResult)[] = ['index', 'completed', 'failed', 'outputBytes', 'errorBytes'];
  if (typeof value !== 'object' || value === null || !fields.every((name) => isCount((value as ChunkResult)[name]))) return false;
  const { failures } = value as Partial<ChunkResult>;
  return typeof failures === 'object' && failures !== null && Object.values(failures).every(isCount);
}

export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
