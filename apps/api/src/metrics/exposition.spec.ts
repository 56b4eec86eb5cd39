import type { MetricsJson } from '@app/process';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { formatFor, mergeMetrics } from './exposition';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

async function metricsOf(fill: (registers: Registry[]) => void): Promise<MetricsJson> {
  const registry = new Registry();
  fill([registry]);
  return (await registry.getMetricsAsJSON()) as MetricsJson;
}

function seconds([registry]: Registry[]): void {
  const histogram = new Histogram({ name: 'seconds', help: 's', buckets: [0.5, 1], enableExemplars: true, registers: [] });
  histogram.observe({ labels: {}, value: 0.7, exemplarLabels: { trace_id: TRACE } });
  registry?.registerMetric(histogram);
}

describe('exposition', () => {
  it('is OpenMetrics for whom asks for it, as Prometheus does, and text for all others', () => {
    const prometheus =
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
    expect([prometheus, 'text/plain', '*/*', undefined].map(formatFor)).toEqual(['openmetrics', 'text', 'text', 'text']);
  });

  it('keeps exemplars of what one process counts, and adds up what several do', async () => {
    const [one, other] = await Promise.all([
      metricsOf((registers) => {
        seconds(registers);
        new Counter({ name: 'rows_total', help: 'r', registers }).inc(2);
      }),
      metricsOf((registers) => new Counter({ name: 'rows_total', help: 'r', registers }).inc(3)),
    ]);
    const text = await mergeMetrics([one, other], 'openmetrics').metrics();
    expect(text).toMatch(new RegExp(`seconds_bucket\\{le="1.0"\\} 1 # \\{trace_id="${TRACE}"\\} 0.7 `));
    expect(text).toContain('# TYPE rows counter\nrows_total 5\n');
    expect(text.endsWith('# EOF\n')).toBe(true);
  });

  it('has neither exemplars nor other names in text', async () => {
    const text = await mergeMetrics(
      [
        await metricsOf((registers) => {
          seconds(registers);
          new Counter({ name: 'rows_total', help: 'r', registers }).inc(2);
        }),
      ],
      'text',
    ).metrics();
    expect(text).toContain('seconds_bucket{le="1"} 1\n');
    expect(text).toContain('# TYPE rows_total counter\nrows_total 2\n');
    expect(text).not.toContain(TRACE);
  });

  it('gives no two metrics of OpenMetrics one name', async () => {
    const metrics = await metricsOf((registers) => {
      new Gauge({ name: 'chunks', help: 'g', registers }).set(1);
      new Counter({ name: 'chunks_total', help: 'c', registers }).inc(7);
    });
    const text = await mergeMetrics([metrics], 'openmetrics').metrics();
    expect(text).toContain('# TYPE chunks gauge\nchunks 1\n');
    expect(text).toContain('# TYPE chunks_total unknown\nchunks_total 7\n');
  });
});
