import type { Metric, MetricValue, Registry } from 'prom-client';

interface CellsOptions<Label extends string> {
  name: string;
  help: string;
  labelNames: readonly Label[];
  registers: readonly Registry[];
}

type Labels = Record<string, string | number>;
type Sample = MetricValue<string> & { metricName?: string };

/**
 * The series of one metric by the values of its labels. prom-client finds a series by its sorted labels and a bucket by its bound as a
 * text, which takes some 2 us for each count; a live request counts twenty times.
 */
abstract class Cells<Label extends string, Cell> {
  private readonly cells = new Map<string, { labels: Labels; cell: Cell }>();

  constructor(
    private readonly type: 'counter' | 'gauge' | 'histogram',
    protected readonly options: CellsOptions<Label>,
  ) {
    const { name, labelNames } = options;
    const metric = { name, labelNames, get: () => Promise.resolve(this.json()), reset: () => this.cells.clear() };
    // All that a registry asks of a metric; its type names prom-client's own classes.
    for (const registry of options.registers) registry.registerMetric(metric as unknown as Metric);
  }

  /** The series of these values, in the order of the label names; created where it is not there. */
  of(...values: string[]): Cell {
    const key = values.length === 1 ? (values[0] as string) : values.join('\n');
    const known = this.cells.get(key);
    if (known !== undefined) return known.cell;
    const labels = Object.fromEntries(this.options.labelNames.map((name, i) => [name, values[i] ?? '']));
    const cell = this.create();
    this.cells.set(key, { labels, cell });
    return cell;
  }

  remove(...values: string[]): void {
    this.cells.delete(values.join('\n'));
  }

  protected abstract create(): Cell;
  protected abstract samples(cell: Cell, labels: Labels): Sample[];

  private json(): object {
    const { name, help } = this.options;
    const values = [...this.cells.values()].flatMap(({ cell, labels }) => this.samples(cell, labels));
    return { name, help, type: this.type, values, aggregator: 'sum' };
  }
}

/** One number. */
class NumberCell {
  value = 0;

  inc(by = 1): void {
    this.value += by;
  }

  dec(): void {
    this.value -= 1;
  }

  set(value: number): void {
    this.value = value;
  }
}

abstract class NumberCells<Label extends string> extends Cells<Label, NumberCell> {
  protected create(): NumberCell {
    return new NumberCell();
  }

  protected samples({ value }: NumberCell, labels: Labels): Sample[] {
    return [{ value, labels }];
  }
}

export class CounterCells<Label extends string> extends NumberCells<Label> {
  constructor(options: CellsOptions<Label>) {
    super('counter', options);
  }
}

export class GaugeCells<Label extends string> extends NumberCells<Label> {
  constructor(options: CellsOptions<Label>) {
    super('gauge', options);
  }
}

/** As OpenMetrics has it. */
export interface Exemplar {
  labelSet: Record<string, string>;
  value: number;
  /** Unix seconds. */
  timestamp: number;
}

/** Counts by bucket. */
export class HistogramCell {
  /** Of each bound, and of what is above all. */
  readonly counts: number[];
  readonly exemplars: (Exemplar | undefined)[] = [];
  sum = 0;

  constructor(private readonly bounds: readonly number[]) {
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** `exemplar`: labels of what the value belongs to; null: none. */
  observe(value: number, exemplar: Record<string, string> | null = null): void {
    let bucket = 0;
    while (bucket < this.bounds.length && value > (this.bounds[bucket] as number)) bucket++;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.sum += value;
    if (exemplar !== null) this.exemplars[bucket] = { labelSet: exemplar, value, timestamp: Date.now() / 1000 };
  }
}

export class HistogramCells<Label extends string> extends Cells<Label, HistogramCell> {
  constructor(
    options: CellsOptions<Label>,
    /** Upper ones, ascending. */
    private readonly bounds: readonly number[],
  ) {
    super('histogram', options);
  }

  protected create(): HistogramCell {
    return new HistogramCell(this.bounds);
  }

  protected samples({ counts, exemplars, sum }: HistogramCell, labels: Labels): Sample[] {
    const { name } = this.options;
    let count = 0;
    const buckets = [...this.bounds, '+Inf'].map((le, i): Sample => {
      count += counts[i] as number;
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count, exemplar: exemplars[i] ?? null } as Sample;
    });
    return [...buckets, { metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: count }];
  }
}
