import type { ChunkPayload } from './bull';

const CHUNK_JOB_ID = /^(.+)-(\d+)-[^-]+$/;

/** The id of one hand-over of a chunk to Redis; `handOver` is new each time and has no "-". */
export const chunkJobId = ({ batchId, chunkIndex }: ChunkPayload, handOver: string): string => `${batchId}-${chunkIndex}-${handOver}`;

/** Null: not an id of `chunkJobId`. */
export function parseChunkJobId(jobId: string): ChunkPayload | null {
  const [, batchId, chunkIndex] = CHUNK_JOB_ID.exec(jobId) ?? [];
  return batchId === undefined ? null : { batchId, chunkIndex: Number(chunkIndex) };
}
