/** Shapes of the OpenAI-compatible files and batches API (docs/protocols.md §8, §9). Times are Unix seconds. */
/** Owns what was made without keys, or before there were any. */
export const DEFAULT_TENANT = 'default';

export type FilePurpose = 'batch' | 'batch_output';

export interface FileObject {
  id: string;
  object: 'file';
  bytes: number;
  created_at: number;
  expires_at?: number;
  filename: string;
  purpose: FilePurpose;
  status: 'uploaded' | 'processed' | 'error';
  /** Ours. */
  interleave?: { /** Of the bytes, hexadecimal; files that were uploaded have it. */ sha256?: string };
}

/** A file that comes in parts. */
export interface UploadObject {
  id: string;
  object: 'upload';
  bytes: number;
  created_at: number;
  expires_at: number;
  filename: string;
  purpose: FilePurpose;
  status: 'pending' | 'completed' | 'cancelled' | 'expired';
  /** Null unless it is completed, and once that file is deleted. */
  file: FileObject | null;
  /** Ours: the parts that are there while it is pending, oldest first. */
  interleave?: { parts: { id: string; bytes: number }[] };
}

export interface UploadPartObject {
  id: string;
  object: 'upload.part';
  created_at: number;
  upload_id: string;
}

export const BATCH_STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type BatchStatus = (typeof BATCH_STATUSES)[number];

/** Of a tenant's batches beside each other. */
export const BATCH_PRIORITIES = ['low', 'normal', 'high'] as const;
export type BatchPriority = (typeof BATCH_PRIORITIES)[number];
export const BATCH_PRIORITY_DEFAULT: BatchPriority = 'normal';
/** What rows of a batch count beside those of another one of the same tenant. */
export const BATCH_PRIORITY_WEIGHTS: Record<BatchPriority, number> = { low: 1, normal: 2, high: 4 };

export interface BatchObject {
  id: string;
  object: 'batch';
  endpoint: string;
  model?: string;
  errors: { object: 'list'; data: BatchValidationError[] } | null;
  /** Null: the rows come from a URI. */
  input_file_id: string | null;
  /** From "1m" to "30d"; official clients send "24h". */
  completion_window: string;
  status: BatchStatus;
  output_file_id: string | null;
  error_file_id: string | null;
  created_at: number;
  in_progress_at: number | null;
  expires_at: number | null;
  finalizing_at: number | null;
  completed_at: number | null;
  failed_at: number | null;
  expired_at: number | null;
  cancelling_at: number | null;
  cancelled_at: number | null;
  request_counts: { total: number; completed: number; failed: number };
  metadata: Record<string, string> | null;
  /** Ours: the same file, model and machine give the same bytes, because every input runs without neighbours. */
  deterministic?: true;
}

export interface BatchValidationError {
  code: string;
  message: string;
  param: string | null;
  /** 1-based line of the input file. */
  line: number | null;
}

/** How a batch gets on; ours. */
export interface BatchProgress {
  /** Rows done per second over the last minute; null: none is known now. */
  rows_per_second: number | null;
  /** Until all rows are done, and between which times it probably is; null: not known, because nothing is done now. */
  seconds_left: { expected: number; low: number; high: number } | null;
  /** Failed rows by the code of their error lines. */
  failures: Record<string, number>;
}

export type BatchLogEvent = 'owner' | 'status' | 'paused' | 'resumed' | 'retry';

/** What happened to a batch. */
export interface BatchLogEntry {
  /** When it happened, the last time if it happened several times in a row. */
  at: number;
  event: BatchLogEvent;
  message: string;
  /** How often in a row; absent: once. */
  count?: number;
}
