import { inParallel, publishOutputs, type BatchOutcome, type ChunkResult, type Manifest } from '@app/batches';
import type { BatchObject } from '@app/contracts';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import { commitNotRun } from '../chunks/chunk-processor';
import type { RunnerContext } from '../runner-context';
import type { BatchInput } from '../intake/batch-input';
import { tableFormat, tableMaker } from './publish-table';

/** Chunks that never ran are written down so many at once. */
const WRITES_MAX = 8;

interface Ending {
  manifest: Manifest;
  outcome: BatchOutcome;
  input: BatchInput;
  chunks: ChunkLedger;
}

/**
 * Makes the output and the error file of a batch out of the results of its chunks; rows of chunks that never ran are said so in
 * the error file. Durable when it resolves; done again, after a kill or by another node, it gives the same.
 */
export async function finishBatch(
  context: RunnerContext,
  ending: Ending,
): Promise<Pick<BatchObject, 'output_file_id' | 'error_file_id' | 'request_counts'>> {
  const { manifest, outcome, chunks } = ending;
  const { table } = ending.input;
  // The rows of a batch that crashes the runner are not read again.
  const added = outcome === 'failed' ? new Map<number, ChunkResult>() : await completeResults(context, ending);
  const resultOf = (index: number) => chunks.resultOf(index) ?? added.get(index) ?? null;
  const format = outcome === 'failed' ? null : tableFormat(manifest);
  const makeTable = format === null ? null : tableMaker(context, manifest, ending.input, format);
  const { output, errors } = await publishOutputs(context.store, { manifest, chunkCount: table.chunkCount, resultOf, makeTable });
  const completed = output?.rows ?? 0;
  return {
    output_file_id: output?.id ?? null,
    error_file_id: errors?.id ?? null,
    request_counts: { total: table.rowCount, completed, failed: table.rowCount - completed },
  };
}

/** A result for each chunk that has none. */
async function completeResults({ store, batches }: RunnerContext, ending: Ending): Promise<Map<number, ChunkResult>> {
  const { manifest, outcome, chunks } = ending;
  if (outcome === 'completed' && !chunks.isComplete) throw new Error(`the results of some chunks of ${manifest.batch.id} are gone`);
  const { table, lines, contentKey } = ending.input;
  const results = batches.results(manifest.batch.id);
  const added = new Map<number, ChunkResult>();
  const missing = Array.from({ length: table.chunkCount }, (_, index) => index).filter((index) => chunks.resultOf(index) === null);
  await inParallel(missing, WRITES_MAX, async (index) => {
    const task = { chunk: table.chunk(index), contentKey, results, lines };
    added.set(index, await commitNotRun(store, task, outcome === 'expired' ? 'batch_expired' : 'batch_cancelled'));
  });
  return added;
}
