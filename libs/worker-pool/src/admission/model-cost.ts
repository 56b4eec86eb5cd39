import type { Axis, CostRatio, InferenceItem, ModelCost, ModelSignature } from '@app/contracts';
import { type CostTableHandle, loadAddon } from '@app/native';

/** So that sums of predictions stay exact. */
const NS_MAX = 1e12;

/** What an item weighs in a run: its rows, and tokens of a row (the sum over its sequence axes; 1 where there is none). */
export interface ItemWeight {
  rows: number;
  length: number;
}

/** Predicts what items of one model cost; see src/coalesce/cost_table.h. */
export class CostEstimate {
  private constructor(
    private readonly table: CostTableHandle,
    private readonly gridText: string,
    private readonly ratio: CostRatio,
    /** Of the worker, that one run takes. */
    readonly executorsPerRun: number,
  ) {}

  /** Building a table costs more than a glance at the grid: that of the last report is kept while its grid is the same. */
  static of(cost: ModelCost, executorsPerRun: number, last: CostEstimate | null): CostEstimate {
    const gridText = JSON.stringify(cost.grid);
    const table = last?.gridText === gridText ? last.table : loadAddon().costTableCreate(cost.grid);
    return new CostEstimate(table, gridText, cost.ratio, executorsPerRun);
  }

  /** What the item adds to the work of a worker, in ns of an executor: in the best runs where it may share them, else by itself. */
  expectedNs(weight: ItemWeight, sharesRuns: boolean): number {
    const { rows, length } = weight;
    const ns = sharesRuns ? loadAddon().costTableBestRowNs(this.table, length) * rows : this.runNs(weight);
    return Math.min(NS_MAX, Math.round(ns * this.ratio.median * this.executorsPerRun));
  }

  /** Cost of one run of the item by itself, in ns of an executor; exceeded by one in twenty. */
  highNs(weight: ItemWeight): number {
    return Math.min(NS_MAX, Math.round(this.runNs(weight) * this.ratio.high * this.executorsPerRun));
  }

  private runNs({ rows, length }: ItemWeight): number {
    return loadAddon().costTableRunNs(this.table, rows, length);
  }
}

/** Sizes along an axis are those of the largest input that has it; shapes that make no sense count as 1. */
export function itemWeight(item: InferenceItem, signature: ModelSignature): ItemWeight {
  // 0: no input has it.
  const sizes: Record<Axis, number> = { batch: 0, sequence0: 0, sequence1: 0, fixed: 0, free: 0 };
  for (const { name, shape } of item.inputs) {
    const axes = signature.inputs.find((spec) => spec.name === name)?.axes ?? [];
    axes.forEach((axis, i) => (sizes[axis] = Math.max(sizes[axis], sizeOf(shape[i]))));
  }
  return { rows: sizes.batch || 1, length: Math.max(1, sizes.sequence0 + sizes.sequence1) };
}

const sizeOf = (size: number | undefined): number => (size !== undefined && Number.isSafeInteger(size) && size > 0 ? size : 1);
