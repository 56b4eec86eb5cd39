/**
 * What operators see of batches at `/dashboard/batches` (docs/operating.md). Times are Unix milliseconds, as everywhere on the dashboard;
 * null: not yet, or not known.
 */
import type { BatchLogEntry, BatchPriority, BatchStatus, BatchValidationError } from './batches';

/** A batch in a list. */
export interface BatchSummary {
  id: string;
  status: BatchStatus;
  /** Why nothing is worked on although it is not over; null: it goes on, or is over. */
  paused: string | null;
  /** True: somebody paused it, and `resume` lets it go on. */
  isPausedByRequest: boolean;
  endpoint: string;
  model: string | null;
  tenant: string;
  priority: BatchPriority;
  rows: {
    /** 0 until the input is validated. */
    total: number;
    completed: number;
    /** Without those that were not run, unlike in `request_counts`. */
    failed: number;
    /** Not run; known once the batch is over. */
    notRun: number;
  };
  /** Rows done per second over the last minute. */
  rowsPerSecond: number | null;
  /** Until all rows are done, and between which times it probably is. */
  secondsLeft: { expected: number; low: number; high: number } | null;
  createdAtMs: number;
  /** When its first chunk could be taken. */
  beganAtMs: number | null;
  endedAtMs: number | null;
  /** When it ends whether or not its rows are done. */
  expiresAtMs: number | null;
  actions: BatchAction[];
}

/** What may be done with a batch as it is: the last part of `POST /dashboard/batches/{id}/…`, but for `delete` (DELETE) and `priority`. */
export type BatchAction = 'pause' | 'resume' | 'cancel' | 'retry' | 'priority' | 'delete';

/** `GET /dashboard/batches`: newest first. */
export interface BatchSummaryPage {
  batches: BatchSummary[];
  /** The newest id that was looked at, whether it is on the page or not; null: there was none. */
  newest: string | null;
  /** What `after` is to be for the next page; null: this is the last. A page may hold fewer than `limit`, or none, and have a next one. */
  next: string | null;
}

export interface BatchFile {
  id: string;
  bytes: number;
  filename: string;
}

/** `GET /dashboard/batches/{id}`. */
export interface BatchDetail extends BatchSummary {
  /** Its rank among the batches of its tenant, and its tenant's among tenants, by which rows take turns. */
  weight: number;
  tenantWeight: number;
  /** The model version that answers all its rows; null: it has not begun, or its rows name none. */
  pinned: { model: string; version: string; /** SHA-256 of its files. */ digest: string } | null;
  /** The node that has it, or had it last. */
  owner: string | null;
  isDeterministic: boolean;
  isDryRun: boolean;
  /** The batch whose failed rows these are. */
  retryOf: string | null;
  completionWindow: string;
  metadata: Record<string, string>;
  inputFile: BatchFile | null;
  /** Where the rows come from in place of a file. */
  inputUri: string | null;
  /** Null: there is none, or not yet, or it is deleted. */
  output: BatchFile | null;
  errors: BatchFile | null;
  /** Failed rows by the code of their error lines. */
  failures: { code: string; rows: number }[];
  /** What was wrong with the input. */
  problems: BatchValidationError[];
  /** What happened to it, in order of time. */
  log: BatchLogEntry[];
  /** Null: it has not begun, or nothing of it was written down (by a former release). */
  timeline: ChunkTimeline | null;
}

/** Where a chunk stands. `returned`: it was put back and waits to be tried again. */
export const CHUNK_STATES = ['pending', 'queued', 'running', 'returned', 'committed'] as const;
export type ChunkState = (typeof CHUNK_STATES)[number];

/** At most so many spans, of as many chunks as it takes. */
export const TIMELINE_SPANS_MAX = 500;

/** The chunks of a batch, in order. */
export interface ChunkTimeline {
  chunks: number;
  /** Chunks of each span, but perhaps the last: 1 up to `TIMELINE_SPANS_MAX` chunks, more above. */
  chunksPerSpan: number;
  states: Record<ChunkState, number>;
  /** Chunks were put back so often. */
  putBacks: number;
  /** It is written down every few seconds: this is how it was then. */
  atMs: number;
  spans: ChunkSpan[];
}

/** One chunk, or consecutive ones of a batch that has many. */
export interface ChunkSpan {
  /** From 0. */
  firstChunk: number;
  chunks: number;
  firstRow: number;
  rows: number;
  /** Only those that are not 0. */
  states: Partial<Record<ChunkState, number>>;
  /** Rows that have an answer or an error, of committed chunks. */
  completed: number;
  failed: number;
  beganAtMs: number | null;
  /** When the last of them was committed, or was found to be. */
  endedAtMs: number | null;
  /** Begun so often; 1 for each chunk that nothing came between. */
  attempts: number;
  /** Put back so often: its node drained or was lost, its model was away, the disk was full. */
  putBacks: number;
  /** The last reason. */
  putBackReason: string | null;
  /** Nodes that worked on it, at most `SPAN_NAMES_MAX`, and the lane there. */
  nodes: string[];
  /** Failed rows by code; those that kill workers (poisoned) are among `inference_failed`. */
  failures: Record<string, number>;
}

export const SPAN_NAMES_MAX = 4;

/** `GET /dashboard/batches/search?q=…`: by the id of a batch, or a part of it, or by the `custom_id` of a row. */
export interface BatchSearchResult {
  query: string;
  /** Whose id has the query in it, newest first, at most 20. */
  batches: BatchSummary[];
  /** Rows with that `custom_id`, in the newest batches first, at most 20. */
  rows: RowHit[];
  /** Batches and bytes that were searched for the `custom_id`. */
  searched: { batches: number; bytes: number };
  /** What `after` is to be to search on; null: everything was searched. */
  next: string | null;
}

/** A row of a batch that was found by its `custom_id`. */
export interface RowHit {
  batch: BatchSummary;
  customId: string;
  /** From 0, in the batch. */
  row: number;
  /** From 1, in the input file; null: the row comes from no file of lines, or that is gone. */
  line: number | null;
  /** Null: the batch has not begun. */
  chunk: number | null;
  /** `waiting`: its chunk is not committed. `not_run`: the batch is over without it. */
  state: 'waiting' | 'completed' | 'failed' | 'not_run';
  /** Its line of the output or error file as text, cut at `ROW_LINE_CHARS_MAX`; null: it has none. */
  result: { text: string; isCut: boolean } | null;
  /** Why it failed; null: it did not. */
  error: { code: string; message: string } | null;
}

export const ROW_LINE_CHARS_MAX = 16_384;
