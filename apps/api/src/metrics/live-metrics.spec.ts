import type { MetricsJson } from '@app/process';
import { Registry } from 'prom-client';
import { mergeMetrics } from './exposition';
import { LiveMetrics, type FinishedRequest } from './live-metrics';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

const request = (changes: Partial<FinishedRequest> = {}): FinishedRequest => ({
  endpoint: 'predict',
  lane: 'realtime',
  tier: 'default',
  arrivedMs: performance.now(),
  model: 'langid',
  errorCode: null,
  timing: { stages: [['run', 2]], items: 3 },
  ...changes,
});

describe('metrics of live requests', () => {
  let registry: Registry;
  let metrics: LiveMetrics;
  beforeEach(() => {
    registry = new Registry();
    metrics = new LiveMetrics(registry, []);
  });

  async function sum(name: string, labels: Record<string, string> = {}): Promise<number> {
    const { values = [] } = (await registry.getSingleMetric(name)?.get()) ?? {};
    const isMeant = ({ labels: own }: { labels: object }): boolean =>
      Object.entries(labels).every(([label, value]) => (own as Record<string, string>)[label] === value);
    return values.filter(isMeant).reduce((all, { value }) => all + value, 0);
  }

  it('count requests by status, and items of those that were answered', async () => {
    metrics.finished(request(), 200);
    metrics.finished(request({ timing: null, errorCode: 'overloaded' }), 429);
    expect(await sum('interleave_requests_total', { status: '200', model: 'langid' })).toBe(1);
    expect(await sum('interleave_requests_total', { status: '429' })).toBe(1);
    expect(await sum('interleave_request_items_total')).toBe(3);
  });

  it('have the trace of a request beside its time, and none without one', async () => {
    metrics.finished(request(), 200);
    const exposition = async () => mergeMetrics([(await registry.getMetricsAsJSON()) as MetricsJson], 'openmetrics').metrics();
    expect(await exposition()).not.toContain('trace_id');
    metrics.finished(request({ traceId: TRACE }), 200);
    expect(await exposition()).toContain(`# {trace_id="${TRACE}"}`);
  });

  it('know 500 models by name, and the others together', async () => {
    for (let model = 0; model < 600; model++) metrics.finished(request({ model: `model-${model}` }), 200);
    expect(await sum('interleave_requests_total', { model: 'model-499' })).toBe(1);
    expect(await sum('interleave_requests_total', { model: 'other' })).toBe(100);
    expect(await sum('interleave_requests_total')).toBe(600);
  });
});
