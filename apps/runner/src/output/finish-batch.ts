import { readResult, type BatchOutcome, type Manifest, type ChunkTable } from '@app/batches';
import type { BatchObject } from '@app/contracts';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import { notRunLines } from '../chunks/chunk-processor';
import type { RunnerContext } from '../runner-context';
import type { NotRunReason, RowLines } from './row-lines';

interface Ending {
  manifest: Manifest;
  outcome: BatchOutcome;
  table: ChunkTable;
  lines: RowLines;
  chunks: ChunkLedger;
}

/**
 * Makes the output and the error file of a batch: the results of its chunks one after the other; rows of chunks that
 * never ran are said so in the error file. Durable when it resolves; done again after a kill it gives the same.
 */
export async function finishBatch(
  context: RunnerContext,
  ending: Ending,
): Promise<Pick<BatchObject, 'output_file_id' | 'error_file_id' | 'request_counts'>> {
  const { manifest, table } = ending;
  const { outputExpiresAfterSeconds: expiresAfterSeconds, tenant } = manifest;
  const name = manifest.batch.id;
  const output = await context.assembler.assemble(
    { fileId: manifest.outputFileId, filename: `${name}_output.jsonl`, tenant, expiresAfterSeconds },
    outputs(context, ending),
  );
  const errors = await context.assembler.assemble(
    { fileId: manifest.errorFileId, filename: `${name}_error.jsonl`, tenant, expiresAfterSeconds },
    errorsOf(context, ending),
  );
  const completed = output?.rows ?? 0;
  return {
    output_file_id: output?.id ?? null,
    error_file_id: errors?.id ?? null,
    request_counts: { total: table.rowCount, completed, failed: table.rowCount - completed },
  };
}

async function* outputs(context: RunnerContext, ending: Ending): AsyncGenerator<Uint8Array> {
  const directory = context.batches.chunksDirectory(ending.manifest.batch.id);
  for (let index = 0; index < ending.table.chunkCount; index++) {
    const result = ending.chunks.resultOf(index);
    if (result !== null) yield* readResult(directory, result, 'output');
  }
}

async function* errorsOf(context: RunnerContext, ending: Ending): AsyncGenerator<Uint8Array> {
  const { manifest, table, lines, outcome } = ending;
  const directory = context.batches.chunksDirectory(manifest.batch.id);
  const contentPath = context.files.contentPath(manifest.batch.input_file_id);
  for (let index = 0; index < table.chunkCount; index++) {
    const result = ending.chunks.resultOf(index);
    // The rows of a batch that crashes the runner are not read again.
    if (result === null && outcome === 'failed') continue;
    if (result === null) yield* notRunLines({ chunk: table.chunk(index), contentPath, lines }, notRunReason(outcome));
    else if (result.failed > 0) yield* readResult(directory, result, 'error');
  }
}

function notRunReason(outcome: BatchOutcome): NotRunReason {
  return outcome === 'expired' ? 'batch_expired' : 'batch_cancelled';
}
