import type { BatchValidationError } from '@app/contracts';
import { readBatchRows, type ChunkTable, type Manifest, type TableColumn } from '@app/batches';
import { parseEndpoint, type Endpoint } from '@app/protocols';
import type { RowEngine } from '../chunks/row-engine';
import { RowLines } from '../output/row-lines';
import type { RunnerContext } from '../runner-context';
import { validateInput } from './validate-input';

/** The input of a batch, once its file has been found. */
export interface BatchInput {
  /** Of the file's bytes in the store. */
  contentKey: string;
  /** The chunks of the batch once it has begun; before that, the pieces that chunks are made of. */
  table: ChunkTable;
  /** As `PreparedRows.columns`. */
  columns: TableColumn[];
  /** As `PreparedRows.digest`. */
  digest?: string;
  endpoint: Endpoint;
  /** The path that `endpoint` came from, which every line names. */
  url: string;
  lines: RowLines;
  /** Models that whoever submitted the batch may use; null: all. */
  models: readonly string[] | null;
}

/** Null: the file is gone. */
export async function openInput(context: RunnerContext, manifest: Manifest): Promise<BatchInput | null> {
  const { batch, models } = manifest;
  const rows = await readBatchRows(context, manifest);
  if (rows === null) return null;
  const endpoint = parseEndpoint(batch.endpoint);
  if (endpoint === null) throw new Error(`batch ${batch.id} was accepted for ${batch.endpoint}, which is not an endpoint`);
  return {
    ...rows,
    endpoint,
    url: batch.endpoint,
    lines: new RowLines(batch.id, endpoint, batch.deterministic === true),
    models,
  };
}

/** Whether the file is one batch for one model that can be served. Rejects when `signal` is aborted. */
export async function judgeInput(
  { store, engine, rowLimits }: RunnerContext,
  input: BatchInput,
  signal: AbortSignal,
): Promise<{ problems: BatchValidationError[]; model: string | null }> {
  const found = await validateInput({ ...input, store, rowLimits }, signal);
  const model = input.endpoint.model ?? found.model;
  return { problems: [...modelProblems(engine, input, { model, version: input.endpoint.version }), ...found.errors], model };
}

/** Rows name one model, or none and fail alone: no other model is run than the one that is looked at here. */
function modelProblems(
  engine: RowEngine,
  { models }: BatchInput,
  { model, version }: { model: string | null; version: string | null },
): BatchValidationError[] {
  const problem = model === null ? null : engine.modelProblem(model, version, models);
  return problem === null ? [] : [{ ...problem, param: 'model', line: null }];
}
