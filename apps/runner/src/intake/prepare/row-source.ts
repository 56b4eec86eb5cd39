import type { Manifest } from '@app/batches';
import type { RunnerContext } from '../../runner-context';
import type { RowSource } from './source';
import { tableSource } from './table-source';

/** The rows of a batch with `hasPreparedRows`. */
export async function rowSourceOf(context: RunnerContext, manifest: Manifest): Promise<RowSource> {
  return tableSource(context, manifest);
}
