import { inParallel, type Manifest } from '@app/batches';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import type { BatchInput } from '../intake/batch-input';
import type { RunnerContext } from '../runner-context';
import { tableFormat } from './publish-table';

const DELETES_MAX = 16;

/**
 * Removes the lines that the output table of a batch which is over holds as well: those of chunks whose rows all have an answer. The lines of
 * others stay, for the error file and for a retry. What a kill or the store leaves goes with the batch.
 */
export async function removeLines(
  { batches, log }: Pick<RunnerContext, 'batches' | 'log'>,
  { manifest, input, chunks }: { manifest: Manifest; input: BatchInput; chunks: ChunkLedger },
): Promise<void> {
  if (tableFormat(manifest) === null) return;
  const { table } = input;
  const results = batches.results(manifest.batch.id);
  const isInTable = (index: number) => chunks.resultOf(index)?.completed === table.chunk(index).rowCount;
  const held = Array.from({ length: table.chunkCount }, (_, index) => index).filter(isInTable);
  await inParallel(held, DELETES_MAX, (index) => results.delete(index)).catch((error: unknown) =>
    log.warn({ err: error, batch_id: manifest.batch.id }, 'lines of a table stay until the batch goes'),
  );
}
