const NS_PER_S = 1e9;
/** The mean follows the last so many rows of a model. */
const ROWS_MAX = 4096;

/** Mean of the last rows, each as heavy as the others. */
class Mean {
  private rows = 0;
  private meanNs = 0;

  get ns(): number {
    return this.meanNs;
  }

  add(ns: number, rows: number): void {
    this.rows = Math.min(ROWS_MAX, this.rows + rows);
    this.meanNs += (ns - this.meanNs) * Math.min(1, rows / this.rows);
  }
}

/**
 * Learns how long rows keep an executor, with the time in which live requests had its CPU. As many models as the repository has.
 */
export class RowCosts {
  private readonly byModel = new Map<string, Mean>();
  private readonly all = new Mean();

  /** Rows that were answered, and how long one of them took. */
  observe(model: string, executorNs: number, rows = 1): void {
    const mean = this.byModel.get(model) ?? new Mean();
    this.byModel.set(model, mean);
    for (const each of [mean, this.all]) each.add(executorNs, rows);
  }

  /** Of the model; null, or of which none ran: of all rows. 0: no row ran yet. */
  secondsPerRow(model: string | null): number {
    const mean = (model === null ? undefined : this.byModel.get(model)) ?? this.all;
    return mean.ns / NS_PER_S;
  }
}
