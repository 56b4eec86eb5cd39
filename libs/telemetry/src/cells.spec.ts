import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { CounterCells, GaugeCells, HistogramCells } from './cells';

describe('cells of metrics', () => {
  const BUCKETS = [0.5, 1, 2];
  const texts = async (fill: (registers: Registry[]) => void): Promise<[string, unknown]> => {
    const registry = new Registry();
    fill([registry]);
    return [await registry.metrics(), await registry.getMetricsAsJSON()];
  };

  it('say what the metrics of prom-client say', async () => {
    const [text] = await texts((registers) => {
      const counter = new CounterCells({ name: 'c_total', help: 'c', labelNames: ['lane', 'model'], registers });
      counter.of('realtime', 'a').inc();
      counter.of('realtime', 'b').inc(2);
      counter.of('realtime', 'a').inc(3);
      const gauge = new GaugeCells({ name: 'g', help: 'g', labelNames: ['tenant'], registers });
      gauge.of('t').inc();
      gauge.of('t').inc();
      gauge.of('t').dec();
      gauge.of('u').set(7);
      gauge.of('gone').set(1);
      gauge.remove('gone');
      const histogram = new HistogramCells({ name: 'h', help: 'h', labelNames: ['stage'], registers }, BUCKETS);
      for (const value of [0.5, 0.7, 1, 2, 2.5]) histogram.of('run').observe(value);
      histogram.of('respond').observe(0);
    });
    const [expected] = await texts((registers) => {
      const counter = new Counter({ name: 'c_total', help: 'c', labelNames: ['lane', 'model'], registers });
      counter.inc({ lane: 'realtime', model: 'a' }, 4);
      counter.inc({ lane: 'realtime', model: 'b' }, 2);
      const gauge = new Gauge({ name: 'g', help: 'g', labelNames: ['tenant'], registers });
      gauge.set({ tenant: 't' }, 1);
      gauge.set({ tenant: 'u' }, 7);
      const histogram = new Histogram({ name: 'h', help: 'h', labelNames: ['stage'], buckets: BUCKETS, registers });
      for (const value of [0.5, 0.7, 1, 2, 2.5]) histogram.observe({ stage: 'run' }, value);
      histogram.observe({ stage: 'respond' }, 0);
    });
    expect(text).toBe(expected);
  });

  it('keep the last exemplar of each bucket, as prom-client does', async () => {
    const exemplar = { trace_id: 'x' };
    const [, json] = await texts((registers) => {
      const histogram = new HistogramCells({ name: 'h', help: 'h', labelNames: ['stage'], registers }, BUCKETS);
      histogram.of('run').observe(0.7, exemplar);
      histogram.of('run').observe(0.8, exemplar);
      histogram.of('run').observe(9, exemplar);
      histogram.of('run').observe(0.1);
    });
    const [, expected] = await texts(([registry]) => {
      const options = { name: 'h', help: 'h', labelNames: ['stage'], buckets: BUCKETS, registers: [] };
      const histogram = new Histogram<string>({ ...options, enableExemplars: true });
      registry?.registerMetric(histogram);
      for (const value of [0.7, 0.8, 9]) histogram.observe({ labels: { stage: 'run' }, value, exemplarLabels: exemplar });
      histogram.observe({ labels: { stage: 'run' }, value: 0.1, exemplarLabels: {} });
    });
    const withoutTime = (metrics: unknown): unknown =>
      JSON.parse(JSON.stringify(metrics, (name, value: unknown) => (name === 'timestamp' ? typeof value : value)));
    expect(withoutTime(json)).toEqual(withoutTime(expected));
  });
});
