import { fifoRuns, type Run } from '../support/bare-runner';

const BUCKET_TOKENS_MAX = 512;
const BUCKET_ROWS_MAX = 32;

/** What others do with rows that come one after the other, by name: lengths in tokens → runs. */
export const BASELINES: Record<string, (lengths: number[]) => Run[]> = {
  'FIFO, 8 rows': (lengths) => fifoRuns(lengths, ({ rows }) => rows <= 8),
  'FIFO, 32 rows': (lengths) => fifoRuns(lengths, ({ rows }) => rows <= 32),
  'FIFO, 4096 tokens': (lengths) => fifoRuns(lengths, ({ rows, length }) => rows * length <= 4096),
  'power-of-two buckets': bucketRuns,
  'one by one': (lengths) => lengths.map((length) => ({ rows: 1, length })),
};

/** Rows padded to the next power of two; a bucket runs when it holds 512 tokens or 32 rows. */
function bucketRuns(lengths: number[]): Run[] {
  const buckets = new Map<number, number[]>();
  for (const length of lengths) {
    const bucket = 2 ** Math.ceil(Math.log2(length));
    buckets.set(bucket, [...(buckets.get(bucket) ?? []), bucket]);
  }
  return [...buckets.values()].flatMap((rows) =>
    fifoRuns(rows, (run) => run.rows <= BUCKET_ROWS_MAX && run.rows * run.length <= BUCKET_TOKENS_MAX),
  );
}
