import { inParallel, publishOutputs, sumFailures, type BatchOutcome, type ChunkResult, type Manifest } from '@app/batches';
import type { BatchObject } from '@app/contracts';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import { commitNotRun } from '../chunks/chunk-processor';
import type { RunnerContext } from '../runner-context';
import type { BatchInput } from '../intake/batch-input';
import { tableFormat, tableMaker } from './publish-table';

const NO_ROWS = { failures: {} };
/** Chunks that never ran are written down so many at once. */
const WRITES_MAX = 8;

interface Finished {
  changes: Pick<BatchObject, 'output_file_id' | 'error_file_id' | 'request_counts'>;
  /** Rows without a line in either file, or with one that says that the batch expired before. */
  notRunRows: number;
  /** Failed rows by code. */
  failures: Record<string, number>;
}

interface Ending {
  manifest: Manifest;
  outcome: BatchOutcome;
  input: BatchInput;
  chunks: ChunkLedger;
  /** The output has lines, whatever was asked for. */
  hasNoTable: boolean;
}

/**
 * Makes the output and the error file of a batch out of the results of its chunks. Rows of chunks that never ran are said so in the
 * error file of a batch that expired; else they have no line, and are counted: a cancel is to be quick. Durable when it resolves; done
 * again, after a kill or by another node, it gives the same.
 */
export async function finishBatch(context: RunnerContext, ending: Ending): Promise<Finished> {
  const { manifest, outcome, chunks, hasNoTable } = ending;
  const { table } = ending.input;
  if (outcome === 'completed' && !chunks.isComplete) throw new Error(`the results of some chunks of ${manifest.batch.id} are gone`);
  const added = outcome === 'expired' ? await completeResults(context, ending) : new Map<number, ChunkResult>();
  const resultOf = (index: number) => chunks.resultOf(index) ?? added.get(index) ?? null;
  const format = outcome === 'failed' || hasNoTable ? null : tableFormat(manifest);
  const makeTable = format === null ? null : tableMaker(context, manifest, ending.input, format);
  const { output, errors } = await publishOutputs(context.store, { manifest, chunkCount: table.chunkCount, resultOf, makeTable });
  const completed = output?.rows ?? 0;
  const failures = sumFailures(Array.from({ length: table.chunkCount }, (_, index) => resultOf(index) ?? NO_ROWS));
  return {
    notRunRows: table.rowCount - completed - (errors?.rows ?? 0) + (failures['batch_expired'] ?? 0),
    changes: {
      output_file_id: output?.id ?? null,
      error_file_id: errors?.id ?? null,
      request_counts: { total: table.rowCount, completed, failed: table.rowCount - completed },
    },
    failures,
  };
}

/** A result for each chunk that has none, of rows that did not run. */
async function completeResults({ store, batches }: RunnerContext, ending: Ending): Promise<Map<number, ChunkResult>> {
  const { manifest, chunks } = ending;
  const { table, lines, contentKey } = ending.input;
  const results = batches.results(manifest.batch.id);
  const added = new Map<number, ChunkResult>();
  const missing = Array.from({ length: table.chunkCount }, (_, index) => index).filter((index) => chunks.resultOf(index) === null);
  await inParallel(missing, WRITES_MAX, async (index) => {
    const task = { chunk: table.chunk(index), contentKey, results, lines };
    added.set(index, await commitNotRun(store, task, 'batch_expired'));
  });
  return added;
}
