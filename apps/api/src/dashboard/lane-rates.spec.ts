import type { MetricsJson } from '@app/process';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { LaneRates } from './lane-rates';
import { MetricsView } from './metrics-view';

class Node {
  private readonly registry = new Registry();
  readonly rows = new Histogram({
    name: 'interleave_run_rows',
    help: 'r',
    labelNames: ['lane', 'worker'],
    buckets: [1, 8],
    registers: [this.registry],
  });
  readonly tokens = new Counter({ name: 'interleave_tokens_total', help: 't', labelNames: ['lane', 'kind'], registers: [this.registry] });
  readonly seconds = new Histogram({
    name: 'interleave_request_seconds',
    help: 's',
    labelNames: ['lane', 'model'],
    buckets: [0.01, 0.1],
    registers: [this.registry],
  });
  readonly requests = new Counter({
    name: 'interleave_requests_total',
    help: 'r',
    labelNames: ['lane', 'status'],
    registers: [this.registry],
  });
  readonly queue = new Gauge({ name: 'interleave_queue_items', help: 'q', labelNames: ['lane', 'model'], registers: [this.registry] });

  async view(): Promise<MetricsView> {
    return new MetricsView((await this.registry.getMetricsAsJSON()) as MetricsJson);
  }
}

describe('rates of the lanes', () => {
  it('are unknown at the first look, but for what waits', async () => {
    const node = new Node();
    node.queue.set({ lane: 'batch', model: 'a' }, 3);
    node.queue.set({ lane: 'batch', model: 'b' }, 4);
    const [realtime, batch] = new LaneRates().read(await node.view(), 0);
    expect([realtime?.lane, realtime?.queueItems, batch?.lane, batch?.queueItems]).toEqual(['realtime', 0, 'batch', 7]);
    expect(batch).toMatchObject({ rowsPerSecond: null, rowsPerRun: null, paddingShare: null, requestsPerSecond: null, p50Ms: null });
  });

  it('are what happened since the last look, per second', async () => {
    const node = new Node();
    const rates = new LaneRates();
    node.rows.observe({ lane: 'realtime', worker: 'w' }, 1000);
    rates.read(await node.view(), 0);
    for (const rows of [2, 8]) node.rows.observe({ lane: 'realtime', worker: 'w' }, rows);
    node.tokens.inc({ lane: 'realtime', kind: 'real' }, 75);
    node.tokens.inc({ lane: 'realtime', kind: 'padded' }, 25);
    node.requests.inc({ lane: 'realtime', status: '200' }, 4);
    for (let i = 0; i < 4; i++) node.seconds.observe({ lane: 'realtime', model: 'm' }, 0.005);
    const [realtime] = rates.read(await node.view(), 2000);
    expect(realtime).toMatchObject({
      rowsPerSecond: 5,
      rowsPerRun: 5,
      paddingShare: 0.25,
      requestsPerSecond: 2,
      errorsPerSecond: 0,
      p50Ms: 5,
    });
  });

  it('forget what is older than their window', async () => {
    const node = new Node();
    const rates = new LaneRates();
    rates.read(await node.view(), 0);
    node.requests.inc({ lane: 'realtime', status: '200' }, 1000);
    rates.read(await node.view(), 5_000);
    const [realtime] = rates.read(await node.view(), 15_000);
    expect(realtime?.requestsPerSecond).toBe(0);
  });

  it('are unknown while a counter has gone down, because its process was restarted', async () => {
    const rates = new LaneRates();
    const before = new Node();
    before.requests.inc({ lane: 'realtime', status: '200' }, 1000);
    rates.read(await before.view(), 0);
    const [realtime] = rates.read(await new Node().view(), 1000);
    expect(realtime?.requestsPerSecond).toBeNull();
  });
});
