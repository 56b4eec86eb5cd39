import { isCompression, type Manifest, type TableColumn, type TableInput } from '@app/batches';
import { parseEndpoint } from '@app/protocols';
import type { RunnerContext } from '../../runner-context';
import { TableProcess } from '../../tables/table-process';
import { BadTable, type ReadTask } from '../../tables/table-task';
import { openTable, type OpenTable } from './open-table';
import type { RowSource } from './source';

/** Lines that are packed, in a file that was uploaded. */
const PACKED_LINES: TableInput = { kind: 'table', uri: null, format: 'jsonl', columns: {}, idColumn: null, model: null };

/** The rows of a table, or of JSON Lines that have to be unpacked or fetched. */
export function tableSource(context: RunnerContext, manifest: Manifest): RowSource {
  let columns: TableColumn[] = [];
  const source: RowSource = async function* (signal) {
    const table = await openTable(context, manifest);
    try {
      const process = new TableProcess(context.tables.childArgs, taskOf(context, manifest, table), table.fd, signal);
      let isRead = false;
      try {
        yield* process.stdout as AsyncIterable<Uint8Array>;
        isRead = true;
      } finally {
        if (!isRead) process.kill();
      }
      columns = await process.columns();
      await table.checkUnchanged();
    } finally {
      await table.close();
    }
  };
  source.columns = () => columns;
  return source;
}

function taskOf({ tables }: RunnerContext, { batch, input = PACKED_LINES, output }: Manifest, { binary }: OpenTable): ReadTask {
  const { format } = input;
  const compression = isCompression(binary) ? binary : null;
  const isBinaryFormat = format === 'parquet' || format === 'arrow';
  if (isBinaryFormat ? binary !== format : binary !== null && compression === null)
    throw new BadTable(`Expected a file of ${format} but its first bytes are those of ${binary ?? 'another kind of file'}.`);
  const kind = parseEndpoint(batch.endpoint)?.kind;
  if (kind === undefined) throw new Error(`batch ${batch.id} was accepted for ${batch.endpoint}, which is not an endpoint`);
  return {
    kind: 'read',
    format,
    compression,
    columns: input.columns,
    idColumn: input.idColumn,
    kept: output?.columns ?? [],
    endpoint: kind,
    url: batch.endpoint,
    model: input.model,
    rowBytesMax: tables.limits.rowBytesMax,
  };
}
