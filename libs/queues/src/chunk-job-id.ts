import type { ChunkPayload } from './bull';

const CHUNK_JOB_ID = /^(.+)-(\d+)-[^-]+$/;
const FIRST = 'first.';
const FIRST_JOB_ID = /-first\.[^-]+$/;

/**
 * The id of one hand-over of a chunk to Redis; `handOver` is new each time and has no "-". `isFirst`: by the queue of batches of which
 * little runs.
 */
export const chunkJobId = ({ batchId, chunkIndex }: ChunkPayload, handOver: string, isFirst = false): string =>
  `${batchId}-${chunkIndex}-${isFirst ? FIRST : ''}${handOver}`;

/** Which of the two queues the job of a chunk is in. */
export const isFirstChunkJob = (jobId: string): boolean => FIRST_JOB_ID.test(jobId);

/** Null: not an id of `chunkJobId`. */
export function parseChunkJobId(jobId: string): Pick<ChunkPayload, 'batchId' | 'chunkIndex'> | null {
  const [, batchId, chunkIndex] = CHUNK_JOB_ID.exec(jobId) ?? [];
  return batchId === undefined ? null : { batchId, chunkIndex: Number(chunkIndex) };
}
