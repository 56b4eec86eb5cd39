import type { Manifest } from '@app/batches';
import type { RunnerContext } from '../../runner-context';
import { RetryImpossible, retrySource } from './retry-source';
import { PrepareFault, type RowSource } from './source';
import { tableSource } from './table-source';

/** The rows of a batch with `hasPreparedRows`. */
export async function rowSourceOf(context: RunnerContext, manifest: Manifest): Promise<RowSource> {
  if (manifest.retryOf === undefined) return tableSource(context, manifest);
  return retrySource(context, manifest, (original) => rowSourceOf(context, original)).catch((error: unknown) => {
    if (!(error instanceof RetryImpossible)) throw error;
    throw new PrepareFault([{ code: 'file_not_found', message: error.message, param: 'input_file_id', line: null }]);
  });
}
