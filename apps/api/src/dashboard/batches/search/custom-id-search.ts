import {
  isBatchId,
  isTerminal,
  readBatchRows,
  ResultTable,
  SEES_ALL,
  type BatchStore,
  type ChunkPart,
  type ChunkResult,
  type FileStore,
  type FoundBatch,
  type ObjectStore,
} from '@app/batches';
import { ROW_LINE_CHARS_MAX, type BatchSearchResult, type RowHit } from '@app/contracts';
import type { JsonLimits } from '@app/protocols';
import { FewAtOnce } from '../few-at-once';
import { summaryOf } from '../summary';
import { findResultLine, type ResultLine } from './find-result';
import { findRow } from './find-row';
import { SearchBudget, type SearchLimits } from './search-budget';

export interface SearchRequest {
  /** A `custom_id`. */
  query: string;
  /** Null: in all batches, the newest first. */
  batchId: string | null;
  /** Where a search before ended; null: at the beginning. */
  after: SearchCursor | null;
}

export interface SearchCursor {
  batchId: string;
  chunk: number;
}

type Row = Pick<RowHit, 'row' | 'line' | 'chunk'>;
type Outcome = Pick<RowHit, 'state' | 'result' | 'error'>;
type Found = { hit: RowHit; next?: undefined } | { hit: null; next: number | null };

const SEARCHES_MAX = 2;
const HITS_MAX = 20;
const LIMITS: SearchLimits = { bytesMax: 256 * 1024 * 1024, msMax: 2_000 };
/** What a manifest counts. */
const BATCH_BYTES = 4_096;
const NOT_RUN: ReadonlySet<string> = new Set(['batch_cancelled', 'batch_expired']);
const CURSOR = /^(batch_[a-z0-9]+):(\d{1,9})$/;

/** Null: it is none. */
export function parseCursor(text: string): SearchCursor | null {
  const [, batchId, chunk] = CURSOR.exec(text) ?? [];
  return batchId !== undefined && isBatchId(batchId) ? { batchId, chunk: Number(chunk) } : null;
}

/** Finds rows by their `custom_id`: in the rows of a batch, or, once those are gone, in what it wrote. Each request reads so much and no more. */
export class CustomIdSearch {
  private readonly searches = new FewAtOnce(SEARCHES_MAX, 'searches');

  constructor(
    private readonly stores: { store: ObjectStore; files: FileStore; batches: BatchStore },
    private readonly rowLimits: JsonLimits,
    private readonly limits: SearchLimits = LIMITS,
  ) {}

  /** Throws `overloaded` while others search. */
  find(request: SearchRequest): Promise<Pick<BatchSearchResult, 'rows' | 'searched' | 'next'>> {
    return this.searches.run(() => this.search(request));
  }

  private async search({ query, batchId, after }: SearchRequest): Promise<Pick<BatchSearchResult, 'rows' | 'searched' | 'next'>> {
    const budget = new SearchBudget(this.limits);
    const ids = batchId === null ? (await this.stores.batches.listIds()).toReversed() : [batchId];
    const rows: RowHit[] = [];
    let batches = 0;
    for (const id of ids.filter((one) => after === null || one <= after.batchId)) {
      const from = after?.batchId === id ? after.chunk : 0;
      const stop = (chunk: number) => ({ rows, searched: { batches, bytes: budget.bytesRead }, next: `${id}:${chunk}` });
      if (batches > 0 && (budget.isSpent || rows.length >= HITS_MAX)) return stop(from);
      const batch = await this.stores.batches.find(id, SEES_ALL);
      budget.spend(BATCH_BYTES);
      if (batch === null) continue;
      const { hit, next } = await this.searchBatch(batch, query, from, budget);
      if (hit === null && next !== null) return stop(next);
      batches += 1;
      if (hit !== null) rows.push(hit);
    }
    return { rows, searched: { batches, bytes: budget.bytesRead }, next: null };
  }

  private async searchBatch(batch: FoundBatch, customId: string, from: number, budget: SearchBudget): Promise<Found> {
    const { manifest } = batch;
    // A batch whose plan is gone has no rows that could be found either.
    const rows = await readBatchRows(this.stores, manifest).catch(() => null);
    if (rows === null) return this.searchResults(batch, customId, from, budget);
    const { found, next } = await findRow({ ...rows, store: this.stores.store, rowLimits: this.rowLimits }, customId, from, budget);
    if (found === null) return { hit: null, next };
    const { row, line, chunk } = found;
    const hasBegun = manifest.batch.in_progress_at !== null;
    const place = { row, line: manifest.hasPreparedRows === true ? null : line, chunk: hasBegun ? chunk : null };
    return { hit: hitOf(batch, customId, place, await this.outcomeOf(batch, customId, place.chunk)) };
  }

  /** What became of the row. */
  private async outcomeOf({ manifest }: FoundBatch, customId: string, chunk: number | null): Promise<Outcome> {
    const { id, status } = manifest.batch;
    const without: Outcome = { state: isTerminal(status) ? 'not_run' : 'waiting', result: null, error: null };
    const result = chunk === null ? null : await this.resultOf(id, chunk, isTerminal(status));
    for (const part of ['error', 'output'] as const) {
      const line = result === null ? null : await this.lineIn(id, result, part, customId);
      if (line !== null) return outcomeIn(part, line);
    }
    return without;
  }

  /** Of a batch that is over, as its files have it. */
  private async resultOf(batchId: string, chunk: number, isOver: boolean): Promise<Omit<ChunkResult, 'failures'> | null> {
    if (!isOver) return this.stores.batches.results(batchId).find(chunk);
    return (await ResultTable.read(this.stores.store, batchId))?.resultOf(chunk) ?? null;
  }

  private async searchResults(batch: FoundBatch, customId: string, from: number, budget: SearchBudget): Promise<Found> {
    const { id } = batch.manifest.batch;
    const table = await ResultTable.read(this.stores.store, id);
    for (let chunk = from; table !== null && chunk < table.chunkCount; chunk++) {
      if (chunk > from && budget.isSpent) return { hit: null, next: chunk };
      for (const part of ['error', 'output'] as const) {
        const line = await this.lineIn(id, table.resultOf(chunk), part, customId, (bytes) => budget.spend(bytes));
        if (line !== null) return { hit: hitOf(batch, customId, { row: line.row, line: null, chunk }, outcomeIn(part, line)) };
      }
    }
    return { hit: null, next: null };
  }

  private lineIn(
    batchId: string,
    result: Omit<ChunkResult, 'failures'>,
    part: ChunkPart,
    customId: string,
    onRead?: (bytes: number) => void,
  ): Promise<ResultLine | null> {
    return findResultLine(this.stores.batches.results(batchId).read(result, part), customId, ROW_LINE_CHARS_MAX, onRead);
  }
}

const hitOf = (batch: FoundBatch, customId: string, place: Row, outcome: Outcome): RowHit => ({
  batch: summaryOf(batch),
  customId,
  ...place,
  ...outcome,
});

function outcomeIn(part: ChunkPart, { text, isCut }: ResultLine): Outcome {
  const error = part === 'error' ? errorOf(text) : null;
  const state = part === 'output' ? 'completed' : NOT_RUN.has(error?.code ?? '') ? 'not_run' : 'failed';
  return { state, result: { text, isCut }, error };
}

/** Null: the line is cut, so that its end, which says why, is not there. */
function errorOf(text: string): RowHit['error'] {
  try {
    return (JSON.parse(text) as { error: RowHit['error'] }).error;
  } catch {
    return null;
  }
}
