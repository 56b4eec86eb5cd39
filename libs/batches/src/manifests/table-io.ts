import type { FileFormat } from '../files/file-format';

export const OUTPUT_FORMATS = ['jsonl', 'csv', 'parquet'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** A column with its type in the words of DuckDB. */
export interface TableColumn {
  name: string;
  type: string;
}

/** Where the rows of a batch come from that is not made of OpenAI's lines. */
export interface TableInput {
  kind: 'table';
  /** Null: the batch's input file. */
  uri: string | null;
  format: FileFormat;
  /** Column by field of the request; empty for `jsonl`. */
  columns: Record<string, string>;
  /** Null: ids are `row-<number>`. */
  idColumn: string | null;
  /** For endpoints whose model is in the body. */
  model: string | null;
}

const BUCKET_OBJECT = /^s3:\/\/([^/]+)\/(.+)$/s;

/** What `s3://bucket/key` names, every character as it is; null: it is no such URI. */
export function bucketObjectOf(uri: string): { bucket: string; key: string } | null {
  const [, bucket, key] = BUCKET_OBJECT.exec(uri) ?? [];
  return bucket === undefined || key === undefined ? null : { bucket, key };
}

/** What the output file is like. */
export interface TableOutput {
  format: OutputFormat;
  /** Columns of the input that it has beside its own. */
  columns: string[];
}

/** Columns that an output has of its own; those of the input must be called otherwise. */
export const RESULT_COLUMNS = ['label', 'score', 'embedding', 'result', 'error'] as const;
/** The id of a row in an output whose input has no column for it. */
export const ID_COLUMN = 'custom_id';
