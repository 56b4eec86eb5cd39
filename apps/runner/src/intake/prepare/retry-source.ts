import { createHash } from 'node:crypto';
import { plannedTable, readRows, ResultTable, type ChunkTable, type Manifest, type RowLine } from '@app/batches';
import type { RunnerContext } from '../../runner-context';
import { RowsLeft } from './rows-left';
import { PrepareFault, type RowSource } from './source';

type Parts = Pick<RunnerContext, 'store' | 'batches' | 'files'>;

const NEWLINE = Buffer.from('\n');

/**
 * The rows of another batch that failed or did not run, in its order. `sourceOf` gives all rows of a batch whose rows were prepared. Throws
 * `RetryImpossible` where it cannot be told any more which those are; the source throws `PrepareFault` where they are others now.
 */
export async function retrySource(
  context: Parts,
  manifest: Manifest,
  sourceOf: (original: Manifest) => Promise<RowSource>,
): Promise<RowSource> {
  const { store, batches, files } = context;
  const original = manifest.retryOf === undefined ? null : await batches.read(manifest.retryOf);
  const results = original === null ? null : await ResultTable.read(store, original.batch.id);
  if (original === null || results === null) throw new RetryImpossible(manifest);
  const { input_file_id: fileId } = original.batch;
  const leftIn = (table: ChunkTable): RowsLeft => new RowsLeft(batches.results(original.batch.id), table, results);
  if (original.hasPreparedRows === true) {
    const table = await plannedTable(store, original, () => Promise.reject(new RetryImpossible(manifest)));
    const all = await sourceOf(original);
    const source: RowSource = (signal) => linesOf(ofSource(unchanged(all(signal), original)), leftIn(table), signal);
    return Object.assign(source, all.columns === undefined ? {} : { columns: all.columns });
  }
  const record = fileId === null ? null : await files.find(fileId);
  if (record === null) throw new RetryImpossible(manifest);
  const table = await plannedTable(store, original, () => files.readChunkTable(record));
  const left = leftIn(table);
  return (signal) => linesOf(ofFile(context, files.contentKey(record.id), table, left), left, signal);
}

/** The batch whose rows are to be retried is gone, or its results or its input are. */
export class RetryImpossible extends Error {
  override readonly name = 'RetryImpossible';

  constructor({ retryOf }: Manifest) {
    super(`The input or the results of ${retryOf ?? 'the batch'}, whose failed rows these are, are gone; submit the rows as a new file.`);
  }
}

async function* linesOf(groups: AsyncIterable<RowLine[]>, left: RowsLeft, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  for await (const rows of groups) {
    signal.throwIfAborted();
    const lines: Buffer[] = [];
    for (const { row, bytes } of rows) if (await left.has(row)) lines.push(bytes, NEWLINE);
    if (lines.length > 0) yield Buffer.concat(lines);
  }
}

/** Without the chunks of which nothing is left. */
async function* ofFile({ store }: Parts, key: string, table: ChunkTable, left: RowsLeft): AsyncGenerator<RowLine[], void, void> {
  for (let index = 0; index < table.chunkCount; index++) {
    if (left.hasAnyOf(index)) yield* readRows(store, key, table.chunk(index));
  }
}

/** Throws at the end where the rows are not those that the batch had: the file of a URI may be another one by now. */
async function* unchanged(pieces: AsyncIterable<Uint8Array>, original: Manifest): AsyncGenerator<Uint8Array, void, void> {
  const { rowsDigest, plan, isDryRun } = original;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    bytes += piece.length;
    yield piece;
  }
  // A release before this one kept no more than their length.
  const bytesBefore = isDryRun === true ? undefined : plan?.bytes;
  const isSame = rowsDigest === undefined ? bytes === (bytesBefore ?? bytes) : hash.digest('hex') === rowsDigest;
  if (!isSame) throw changed(original);
}

function changed({ batch, input }: Manifest): PrepareFault {
  const message =
    `The rows of ${input?.uri ?? 'the input'} are not those that ${batch.id} had, so that it cannot be told which of them are left; ` +
    'put the file back as it was and retry again, or submit a new batch.';
  return new PrepareFault([{ code: 'input_changed', message, param: 'input', line: null }]);
}

function ofSource(pieces: AsyncIterable<Uint8Array>): AsyncIterable<RowLine[]> {
  const store = { read: () => asBuffers(pieces) };
  return readRows(store, 'rows', { offset: 0, end: Number.MAX_SAFE_INTEGER, firstRow: 0, firstLine: 1 });
}

async function* asBuffers(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, void> {
  for await (const piece of pieces) yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
}
