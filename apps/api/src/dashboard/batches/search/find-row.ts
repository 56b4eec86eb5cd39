import { readRows, type Chunk, type ChunkTable, type ObjectStore } from '@app/batches';
import { parseJsonBody, type JsonLimits } from '@app/protocols';
import { spellingOf, type Spelling } from './json-spelling';
import type { SearchBudget } from './search-budget';

/** Chunks are read together up to so much: opening costs more than reading. A chunk is at most 8 MiB, or one row. */
const PIECE_BYTES = 4 * 1024 * 1024;

export interface BatchRows {
  store: Pick<ObjectStore, 'read'>;
  contentKey: string;
  table: ChunkTable;
  rowLimits: JsonLimits;
}

/** Where a row is. */
export interface FoundRow {
  chunk: number;
  row: number;
  line: number;
}

/** `next`: the chunk to go on with, because the budget is spent; null: there is no such row. */
export type RowSearch = { found: FoundRow; next?: undefined } | { found: null; next: number | null };

/** Looks through the rows of a batch from chunk `from` on, at some of them whatever the budget, and for the id in any spelling. */
export async function findRow(rows: BatchRows, customId: string, from: number, budget: SearchBudget): Promise<RowSearch> {
  const { store, contentKey, table } = rows;
  const spelling = spellingOf(customId);
  for (let index = from; index < table.chunkCount;) {
    if (index > from && budget.isSpent) return { found: null, next: index };
    const chunks = pieceFrom(table, index);
    const [{ offset: start } = { offset: 0 }, { end } = { end: 0 }] = [chunks[0], chunks.at(-1)];
    const parts: Buffer[] = [];
    for await (const part of store.read(contentKey, { start, end })) parts.push(part);
    const bytes = Buffer.concat(parts);
    budget.spend(bytes.length);
    if (spelling.isIn(bytes)) {
      const found = await findInChunks(rows, chunks, { bytes, start }, customId, spelling);
      if (found !== null) return { found };
    }
    index += chunks.length;
  }
  return { found: null, next: null };
}

function pieceFrom(table: ChunkTable, first: number): Chunk[] {
  const chunks = [table.chunk(first)];
  for (let bytes = 0, index = first + 1; index < table.chunkCount; index++) {
    const chunk = table.chunk(index);
    bytes += chunk.end - chunk.offset;
    if (bytes > PIECE_BYTES) break;
    chunks.push(chunk);
  }
  return chunks;
}

async function findInChunks(
  { contentKey, rowLimits }: BatchRows,
  chunks: Chunk[],
  piece: { bytes: Buffer; start: number },
  customId: string,
  spelling: Spelling,
): Promise<FoundRow | null> {
  const store = {
    read: (_key: string, { start, end }: { start: number; end: number }) =>
      once(piece.bytes.subarray(start - piece.start, end - piece.start)),
  };
  for (const chunk of chunks) {
    for await (const rows of readRows(store, contentKey, chunk)) {
      for (const { row, line, bytes } of rows) {
        if (spelling.isIn(bytes) && customIdOf(bytes, rowLimits) === customId) return { chunk: chunk.index, row, line };
      }
    }
  }
  return null;
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void, void> {
  yield bytes;
}

/** Null: the line is no row. */
function customIdOf(bytes: Buffer, limits: JsonLimits): unknown {
  try {
    return (parseJsonBody(bytes, limits) as { custom_id?: unknown } | null)?.custom_id ?? null;
  } catch {
    return null;
  }
}
