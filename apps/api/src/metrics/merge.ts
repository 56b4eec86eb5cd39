import { runPaths } from '@app/config';
import { fetchMetrics, type MetricsJson } from '@app/process';
import { Counter, type Registry } from 'prom-client';
import { mergeMetrics, type ExpositionFormat } from './exposition';

const ANSWER_MS_MAX = 200;

/** The metrics of all processes of the node as one: counters and histograms add up over processes. */
export class MergedMetrics {
  private readonly missed: Counter;
  private readonly collecting = new Map<ExpositionFormat, Promise<Registry>>();

  constructor(
    private readonly own: Registry,
    private readonly runDir: string,
    /** Ids of the other processes. */
    private readonly processIds: () => readonly string[],
    /** Adds what follows from the metrics of several processes. */
    private readonly derive: (merged: Registry) => Promise<void> = () => Promise.resolve(),
  ) {
    this.missed = new Counter({
      name: 'interleave_metrics_missed_total',
      help: 'Scrapes that went on without a process that did not answer in time',
      labelNames: ['process'],
      registers: [own],
    });
  }

  /** A registry with the metrics of this process and of every other that answers in time. Callers at one time share it. */
  collect(format: ExpositionFormat = 'text'): Promise<Registry> {
    const collecting = this.collecting.get(format) ?? this.collectOnce(format).finally(() => this.collecting.delete(format));
    this.collecting.set(format, collecting);
    return collecting;
  }

  private async collectOnce(format: ExpositionFormat): Promise<Registry> {
    const others = await Promise.all(this.processIds().map((id) => this.metricsOf(id)));
    const own = (await this.own.getMetricsAsJSON()) as MetricsJson;
    const merged = mergeMetrics([own, ...others.filter((metrics) => metrics !== null)], format);
    await this.derive(merged);
    return merged;
  }

  private async metricsOf(processId: string): Promise<MetricsJson | null> {
    try {
      const metrics = await fetchMetrics(runPaths(this.runDir).statusSocket(processId), ANSWER_MS_MAX);
      if (isMetrics(metrics)) return metrics;
    } catch {
      // Not running or too slow: counted below.
    }
    this.missed.inc({ process: processId });
    return null;
  }
}

function isMetrics(value: unknown): value is MetricsJson {
  return (
    Array.isArray(value) &&
    value.every(
      (metric: unknown) =>
        typeof metric === 'object' &&
        metric !== null &&
        'name' in metric &&
        'type' in metric &&
        'values' in metric &&
        Array.isArray(metric.values),
    )
  );
}
