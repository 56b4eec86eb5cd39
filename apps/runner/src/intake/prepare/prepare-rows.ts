import { PreparedRowsWriter, readPreparedRows, type Manifest } from '@app/batches';
import { InterleaveError, type BatchValidationError } from '@app/contracts';
import type { RunnerContext } from '../../runner-context';
import { BadTable } from '../../tables/table-task';
import { rowSourceOf } from './row-source';
import { PrepareFault } from './source';

/**
 * Makes the rows of a batch that has no lines to run as they are; nothing happens when they are made already. Resolves with what is wrong
 * with its input. Killed at any moment, or done by two nodes at once, it gives one set of rows. Rejects when `signal` is aborted.
 */
export async function prepareRows(context: RunnerContext, manifest: Manifest, signal: AbortSignal): Promise<BatchValidationError[]> {
  const { store, tables } = context;
  const { id } = manifest.batch;
  if (manifest.hasPreparedRows !== true || (await readPreparedRows(store, id)) !== null) return [];
  const writer = await PreparedRowsWriter.begin(store, id, tables.limits);
  try {
    const source = await rowSourceOf(context, manifest);
    for await (const part of source(signal)) {
      signal.throwIfAborted();
      await writer.append(part);
    }
    await writer.commit(source.columns?.() ?? []);
    return [];
  } catch (error) {
    await writer.discard();
    return faultsOf(error);
  }
}

/** Throws what is not the fault of the input. */
function faultsOf(error: unknown): BatchValidationError[] {
  if (error instanceof PrepareFault) return error.faults;
  if (error instanceof BadTable) return [{ code: error.code, message: error.message, param: 'input', line: error.line }];
  if (error instanceof InterleaveError && error.code === 'too_large')
    return [{ code: 'too_large', message: `${error.message}.`, param: 'input', line: null }];
  throw error;
}
