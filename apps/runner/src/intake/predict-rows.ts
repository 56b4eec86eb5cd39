import { readRows, type ModelPin } from '@app/batches';
import { checkBatchLine, parseJsonBody } from '@app/protocols';
import type { RowCost } from '../chunks/row-engine';
import type { RunnerContext } from '../runner-context';
import type { BatchInput } from './batch-input';

/** Rows are read at so many places of the file, evenly spread, so many at each. */
const PLACES = 16;
const ROWS_A_PLACE = 16;
/** Of all rows that are read; with longer ones they are fewer. */
const BYTES_MAX = 16 * 1024 * 1024;
/** A run of rows of similar length, as the coalescer makes them. */
const RUN_ROWS = 16;

export interface RowPrediction {
  sampledRows: number;
  /** Of one executor; 0: nobody knows. */
  secondsPerRow: number;
  /** Part of the computed tokens that is padding; null: rows have no lengths. */
  paddingShare: number | null;
  /** Of the batch lane of this node. */
  executors: number;
}

/** Tokenizes a sample of the rows and looks up what they cost. Rows that cannot be prepared count nothing. */
export async function predictRows(
  { store, engine, rowLimits }: Pick<RunnerContext, 'store' | 'engine' | 'rowLimits'>,
  input: BatchInput,
  pin: ModelPin | null,
  runAlone: boolean,
): Promise<RowPrediction> {
  const costs: RowCost[] = [];
  let bytesLeft = BYTES_MAX;
  for (const index of placesOf(input.table.chunkCount)) {
    const rows = await firstRows(store, input, index, bytesLeft);
    bytesLeft -= rows.reduce((sum, bytes) => sum + bytes.length, 0);
    costs.push(...(await Promise.all(rows.map((bytes) => costOf(bytes)))));
  }
  const lengths = costs.flatMap((cost) => cost.lengths);
  return {
    sampledRows: costs.length,
    secondsPerRow: costs.length === 0 ? 0 : costs.reduce((sum, { seconds }) => sum + seconds, 0) / costs.length,
    paddingShare: lengths.length === 0 ? null : paddingShare(lengths, runAlone ? 1 : RUN_ROWS),
    executors: engine.executorCount(),
  };

  function costOf(bytes: Buffer): Promise<RowCost> {
    const body = bodyOf(() => checkBatchLine(parseJsonBody(bytes, rowLimits), input.url).body);
    return engine.predict({ endpoint: input.endpoint, body, pin }).catch(() => ({ seconds: 0, lengths: [] }));
  }
}

function placesOf(count: number): number[] {
  const places = Math.min(PLACES, count);
  return Array.from({ length: places }, (_, place) => Math.floor((place * count) / places));
}

/** Copies: what is read is gone afterwards. At most so many bytes. */
async function firstRows(
  store: RunnerContext['store'],
  { table, contentKey }: BatchInput,
  index: number,
  bytesMax: number,
): Promise<Buffer[]> {
  const found: Buffer[] = [];
  let bytesLeft = bytesMax;
  for await (const rows of readRows(store, contentKey, table.chunk(index))) {
    for (const { bytes } of rows) {
      bytesLeft -= bytes.length;
      if (found.length === ROWS_A_PLACE || bytesLeft < 0) return found;
      found.push(Buffer.from(bytes));
    }
  }
  return found;
}

function bodyOf(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Of rows that are sorted and run in full runs. */
export function paddingShare(lengths: readonly number[], runRows: number): number {
  const sorted = lengths.toSorted((one, other) => one - other);
  let computed = 0;
  for (let at = 0; at < sorted.length; at += runRows) {
    const run = sorted.slice(at, at + runRows);
    computed += (run.at(-1) ?? 0) * run.length;
  }
  const used = sorted.reduce((sum, length) => sum + length, 0);
  return computed === 0 ? 0 : 1 - used / computed;
}
