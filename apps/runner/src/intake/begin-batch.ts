import type { DryRun, Manifest } from '@app/batches';
import type { RunnerContext } from '../runner-context';
import type { BatchInput } from './batch-input';
import { makePlan } from './batch-plan';
import { predictRows, type RowPrediction } from './predict-rows';

/** What a batch is begun with: it stays the same for every node and every later owner. */
export type Beginning = Required<Pick<Manifest, 'plan'>> & Pick<Manifest, 'pin' | 'dryRun' | 'rowsDigest'>;

/**
 * Decides by which files the rows of a validated batch are answered and how it is divided; of a dry run, predicts what the whole file
 * would take. Throws an `InterleaveError`: `worker_unavailable` while that cannot be told.
 */
export async function beginBatch(context: RunnerContext, manifest: Manifest, input: BatchInput, model: string | null): Promise<Beginning> {
  const { engine, chunkRowsMax } = context;
  const pin = model === null ? null : await engine.pin(model, input.endpoint.version, input.models);
  const prediction = await predictRows(context, input, pin, manifest.batch.deterministic === true);
  const secondsPerRow = prediction.secondsPerRow || engine.secondsPerRow(model);
  return {
    ...(pin === null ? {} : { pin }),
    plan: await makePlan(context, manifest, input, { secondsPerRow, rowsMax: chunkRowsMax }),
    ...(input.digest === undefined ? {} : { rowsDigest: input.digest }),
    ...(manifest.isDryRun === true ? { dryRun: dryRunOf(input, prediction, secondsPerRow) } : {}),
  };
}

function dryRunOf({ table }: BatchInput, prediction: RowPrediction, secondsPerRow: number): DryRun {
  const seconds = secondsPerRow * table.rowCount;
  const { sampledRows, executors, paddingShare } = prediction;
  return {
    rows: table.rowCount,
    sampled_rows: sampledRows,
    executor_seconds: rounded(seconds),
    wall_seconds: executors === 0 ? null : rounded(seconds / executors),
    padding_share: paddingShare === null ? null : rounded(paddingShare),
  };
}

const rounded = (value: number): number => Number(value.toPrecision(3));
