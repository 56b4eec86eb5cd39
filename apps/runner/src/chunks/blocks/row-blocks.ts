import { setImmediate as nextTurn } from 'node:timers/promises';
import { readRows, type Chunk, type ObjectStore, type RowLine } from '@app/batches';
import type { RowLines, RowName } from '../../output/row-lines';
import type { RowShare } from '../in-flight-budget';
import type { RowForm, RowForms } from './row-forms';

/** Enough that what is done once for a block costs little a row, few enough that some blocks are in flight at once. */
const ROWS_MAX = 128;
/** The same where so many rows are predicted to keep an executor for less than this: batches take turns by blocks. */
const QUICK_ROWS_MAX = 256;
const QUICK_SECONDS_MAX = 0.2;
const LINE_BYTES_MAX = 256 * 1024;
/** Work between two turns of the event loop. */
const SLICE_MS = 8;

export interface BlockRow {
  name: RowName;
  text: string;
}

/** Consecutive rows of one form. */
export interface RowBlock {
  form: RowForm;
  rows: BlockRow[];
  /** Length of their lines. */
  lineBytes: number;
}

/** What is answered at once: a row whose bytes are valid until the next one is asked for, or a block. */
export type Unit = { row: RowLine; block: null } | { row: null; block: RowBlock };

interface UnitSource {
  chunk: Chunk;
  contentKey: string;
  lines: RowLines;
  share: () => Pick<RowShare, 'rowSeconds'>;
  /** That may be in flight at once: two blocks at least. */
  rowsMax: number;
  /** Null: every row by itself. */
  forms: RowForms | null;
}

/**
 * The rows of a chunk in their order. Gives the event loop a turn after every few milliseconds of work, so that locks are renewed and
 * answers come in.
 */
export async function* eachUnit(store: Pick<ObjectStore, 'read'>, source: UnitSource): AsyncGenerator<Unit> {
  let sliceEnd = performance.now() + SLICE_MS;
  let block: RowBlock | null = null;
  for await (const rows of readRows(store, source.contentKey, source.chunk)) {
    for (const row of rows) {
      const matched = source.forms?.match(row) ?? null;
      if (block !== null && (matched?.form !== block.form || isFull(block, source))) {
        yield { row: null, block };
        block = null;
      }
      if (matched === null) yield { row, block: null };
      else {
        block ??= { form: matched.form, rows: [], lineBytes: 0 };
        block.rows.push({ name: { id: source.lines.idOf(row), customId: matched.parts.customId }, text: matched.parts.text });
        block.lineBytes += row.bytes.length;
      }
      if (performance.now() <= sliceEnd) continue;
      await nextTurn();
      sliceEnd = performance.now() + SLICE_MS;
    }
  }
  if (block !== null) yield { row: null, block };
}

function isFull({ rows, lineBytes }: RowBlock, { share, rowsMax }: Pick<UnitSource, 'share' | 'rowsMax'>): boolean {
  const isQuick = share().rowSeconds * QUICK_ROWS_MAX < QUICK_SECONDS_MAX && rowsMax >= 2 * QUICK_ROWS_MAX;
  return rows.length >= (isQuick ? QUICK_ROWS_MAX : ROWS_MAX) || lineBytes >= LINE_BYTES_MAX;
}
