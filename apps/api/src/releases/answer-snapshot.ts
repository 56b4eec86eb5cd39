import { setImmediate } from 'node:timers/promises';
import type { ItemResult, Tensor } from '@app/contracts';
import type { ServedModel } from '@app/models';
import type { ResponseBody } from '@app/protocols';
import type { LiveCall, LiveEndpoint } from '../live/live-call';
import { answerRows } from './answer-rows';
import { compareRows } from './compare-answers';
import { INCOMPARABLE, type RowComparison } from './compare-numbers';
import { compareTensors } from './compare-tensors';

/** Comparing so many rows, or one item of tensors, at a time keeps pauses of the event loop near a millisecond. */
const ROWS_PER_TURN = 64;
const BYTES_PER_NUMBER = 8;

/** What is kept of an answer to compare it: what its caller got, or the tensors where that is what they asked for. */
export interface AnswerSnapshot {
  model: ServedModel;
  /** In the form of `:predict`; null: tensors. */
  rows: unknown[] | null;
  /** Outputs by item; empty: rows. */
  items: Tensor[][];
  /** Executor time of one row of each item, added up. */
  rowUs: number;
  /** Held by it, about. */
  bytes: number;
}

export function snapshotOf(
  endpoint: LiveCall['endpoint'],
  model: ServedModel,
  { results, response }: { results: readonly ItemResult[]; response: unknown },
): AnswerSnapshot {
  const rowUs = results.reduce((sum, { timing }) => sum + timing.runUs / Math.max(1, timing.runRows), 0);
  const asTensors = model.task === 'tensor' || endpoint === 'infer' || endpoint === 'grpc_infer' || endpoint === 'grpc_stream_infer';
  const rows = asTensors ? null : answerRows(endpoint as LiveEndpoint, response as ResponseBody);
  const items = rows === null ? results.map(({ outputs }) => outputs) : [];
  const itemBytes = items.flat().reduce((sum, { data }) => sum + data.byteLength, 0);
  return { model, rows, items, rowUs, bytes: itemBytes + (rows === null ? 0 : BYTES_PER_NUMBER * numbersIn(rows)) };
}

/** Row by row, leaving the event loop to others in between. */
export async function compareSnapshots(stable: AnswerSnapshot, tested: AnswerSnapshot): Promise<RowComparison[]> {
  const { task } = stable.model;
  if (task !== tested.model.task) return incomparable(stable);
  const compared: RowComparison[] = [];
  if (stable.rows !== null && tested.rows !== null) {
    const rows = Math.max(stable.rows.length, tested.rows.length);
    for (let from = 0; from < rows; from += ROWS_PER_TURN) {
      const turn = (all: unknown[]): unknown[] => all.slice(from, from + ROWS_PER_TURN);
      compared.push(...compareRows(task, turn(stable.rows), turn(tested.rows)));
      await setImmediate();
    }
    return compared;
  }
  for (const [i, outputs] of stable.items.entries()) {
    compared.push(...compareTensors(task, outputs, tested.items[i] ?? [], rowsIn(stable.model, outputs)));
    await setImmediate();
  }
  return compared;
}

/** As many as the answer has rows. */
export function incomparable({ model, rows, items }: AnswerSnapshot): RowComparison[] {
  const count = rows?.length ?? items.reduce((sum, outputs) => sum + rowsIn(model, outputs), 0);
  return new Array<RowComparison>(count).fill(INCOMPARABLE);
}

/** 1, unless the first dimension of all outputs counts rows. */
function rowsIn({ signature }: ServedModel, outputs: readonly Tensor[]): number {
  const rows = outputs[0]?.shape[0] ?? 1;
  const countsRows = ({ name, shape }: Tensor): boolean =>
    shape[0] === rows && signature.outputs.find((output) => output.name === name)?.axes[0] === 'batch';
  return rows > 0 && outputs.every(countsRows) ? rows : 1;
}

/** About; anything small is one. */
function numbersIn(value: unknown): number {
  if (Array.isArray(value))
    return typeof value[0] === 'number' ? value.length : value.reduce<number>((sum, each) => sum + numbersIn(each), 0);
  const { values } = (value ?? {}) as { values?: unknown };
  return Array.isArray(values) ? 2 * values.length : 1;
}
