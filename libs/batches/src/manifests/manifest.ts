import type {
  BatchLogEntry,
  BatchObject,
  BatchPriority,
  BatchProgress,
  BatchStatus,
  BatchValidationError,
  TraceCarrier,
} from '@app/contracts';
import type { TableInput, TableOutput } from './table-io';

/** One model version with its files: the same name and version may have others later, or elsewhere. */
export interface ModelPin {
  name: string;
  version: string;
  /** SHA-256 over the contents of its files. */
  digest: string;
  /** As `ServedModel.remoteFiles`; absent: no other node runs steps of it, or a former release wrote the pin. */
  remoteFiles?: string;
}

/** How a batch ends once its rows are settled. */
export type BatchOutcome = 'completed' | 'expired' | 'cancelled' | 'failed';

/** What a dry run predicts of the whole file. */
export interface DryRun {
  /** Of the file. */
  rows: number;
  /** Of them were tokenized for the prediction. */
  sampled_rows: number;
  /** Time of one executor. */
  executor_seconds: number;
  /** With all executors of the batch lane of the node that predicted it, and no live traffic; null: it had none. */
  wall_seconds: number | null;
  /** Part of the computed tokens that is padding, where the sample is run in full runs; null: the model has no lengths. */
  padding_share: number | null;
}

/**
 * `manifest.json`: the truth about a batch. The API creates it; from then on only the node that owns the batch writes it.
 *
 * | status | next |
 * |---|---|
 * | validating | in_progress, failed, cancelled |
 * | in_progress | finalizing, cancelling |
 * | cancelling | cancelled |
 * | finalizing | completed, expired, failed |
 * | completed, failed, expired, cancelled | – |
 */
export interface Manifest {
  /** 2: with something that releases before it would do wrong: a plan, a table, rows of another batch, a dry run. */
  formatVersion: 1 | 2;
  batch: BatchObject;
  /** Whose it is, and its files. Those of before there were tenants do not say so, and are read as `DEFAULT_TENANT`'s. */
  tenant: string;
  /** Models that whoever submitted it may use; null: all. */
  models: readonly string[] | null;
  /** Life of the output files; null: kept until deleted. */
  outputExpiresAfterSeconds: number | null;
  /** Ids reserved before the files are assembled, so that a runner that is killed meanwhile goes on with the same. */
  outputFileId: string;
  errorFileId: string;
  /** Set with `finalizing` and `cancelling`. */
  outcome: BatchOutcome | null;
  /** Why no rows are being worked on although the status says so; null: they are. */
  paused: string | null;
  /** The files that answer all its rows, on every node; absent: it has not begun, its rows name no model, or a former release began it. */
  pin?: ModelPin;
  /** The node that wrote it last, and that write; absent before a node has taken it up. */
  writer?: { nodeId: string; writeId: string };
  /** Absent: no row has been worked on by this release. */
  progress?: BatchProgress;
  /** The newest entries, in order of time; absent: no node of this release has had it. */
  log?: BatchLogEntry[];
  /** As it is known to whoever wrote this; absent: normal. */
  priority?: BatchPriority;
  /** Of the tenant when it was submitted; absent: 1. */
  tenantWeight?: number;
  /** Its rows are those of that batch that failed or did not run. */
  retryOf?: string;
  isDryRun?: true;
  dryRun?: DryRun;
  /** `plan.idx` has its chunks, which end at these; absent: they are those of the file. */
  plan?: { bytes: number; rows: number };
  /** Rows that were not run, once it is over. */
  notRunRows?: number;
  /** Absent: the rows are the lines of the input file. */
  input?: TableInput;
  /** Absent: the output is JSON Lines. */
  output?: TableOutput;
  /** Rows are made by its owner before they are validated: see `PreparedRowsWriter`. As at its creation. */
  hasPreparedRows?: true;
  /** SHA-256 of the rows that were made; absent: none were, it has not begun, or a former release began it. */
  rowsDigest?: string;
  /** The request that submitted it, where its trace is kept: what any node does for it becomes part of that. */
  trace?: TraceCarrier;
}

const TERMINAL: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['completed', 'failed', 'expired', 'cancelled']);

export const isTerminal = (status: BatchStatus): boolean => TERMINAL.has(status);

/** Without a line in a file; known once the batch is over. They count as failed in `request_counts`. */
export const notRunRowsOf = ({ batch, notRunRows = 0 }: Manifest): number => (isTerminal(batch.status) ? notRunRows : 0);

export interface NewBatch {
  batchId: string;
  tenant: string;
  models: readonly string[] | null;
  endpoint: string;
  /** Null: it is a `uri`. */
  inputFileId: string | null;
  outputFileId: string;
  errorFileId: string;
  metadata: Record<string, string> | null;
  isDeterministic: boolean;
  outputExpiresAfterSeconds: number | null;
  /** Unix seconds. */
  createdAt: number;
  expiresAt: number;
  /** As the client said it; absent: "24h". */
  completionWindow?: string;
  priority?: BatchPriority;
  tenantWeight?: number;
  isDryRun?: boolean;
  /** Absent: its rows are those of the file. */
  retryOf?: string;
  table?: { input: TableInput | null; output: TableOutput | null; hasPreparedRows: boolean };
  /** Null: it is not traced. */
  trace?: TraceCarrier | null;
}

export function newManifest(batch: NewBatch): Manifest {
  const table = tableFields(batch);
  return {
    formatVersion: batch.isDryRun === true || batch.retryOf !== undefined || Object.keys(table).length > 0 ? 2 : 1,
    batch: {
      id: batch.batchId,
      object: 'batch',
      endpoint: batch.endpoint,
      errors: null,
      input_file_id: batch.inputFileId,
      completion_window: batch.completionWindow ?? '24h',
      status: 'validating',
      output_file_id: null,
      error_file_id: null,
      created_at: batch.createdAt,
      in_progress_at: null,
      expires_at: batch.expiresAt,
      finalizing_at: null,
      completed_at: null,
      failed_at: null,
      expired_at: null,
      cancelling_at: null,
      cancelled_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      metadata: batch.metadata,
      ...(batch.isDeterministic ? { deterministic: true as const } : {}),
    },
    tenant: batch.tenant,
    models: batch.models,
    outputExpiresAfterSeconds: batch.outputExpiresAfterSeconds,
    outputFileId: batch.outputFileId,
    errorFileId: batch.errorFileId,
    outcome: null,
    paused: null,
    ...(batch.priority === undefined ? {} : { priority: batch.priority }),
    ...(batch.tenantWeight === undefined ? {} : { tenantWeight: batch.tenantWeight }),
    ...(batch.retryOf === undefined ? {} : { retryOf: batch.retryOf }),
    ...(batch.isDryRun === true ? { isDryRun: true as const } : {}),
    ...(batch.trace ? { trace: batch.trace } : {}),
    ...table,
  };
}

function tableFields({ table, retryOf }: NewBatch): Pick<Manifest, 'input' | 'output' | 'hasPreparedRows'> {
  const { input = null, output = null, hasPreparedRows = retryOf !== undefined } = table ?? {};
  return {
    ...(input === null ? {} : { input }),
    ...(output === null ? {} : { output }),
    ...(hasPreparedRows || retryOf !== undefined ? { hasPreparedRows: true as const } : {}),
  };
}

export function validationErrors(data: BatchValidationError[]): BatchObject['errors'] {
  return { object: 'list', data };
}
