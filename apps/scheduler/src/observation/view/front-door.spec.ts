import type { MetricsJson } from '@app/process';
import { Counter, Gauge, Registry } from 'prom-client';
import { CounterHistory, RATE_WINDOW_MS } from '../sample/counter-window';
import { countsOf } from '../sample/counted';
import { MetricsView } from '../sample/metrics-view';
import { NodeCounts } from '../sample/node-counts';
import { frontDoorView } from './front-door';

describe('the front door', () => {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, ...labelNames: string[]) => new Counter({ name: `interleave_${name}`, help: 'h', labelNames, registers });
  const seconds = counter('tenant_executor_seconds_total', 'tenant');
  const tiers = counter('tier_requests_total', 'tier');
  const calls = counter('grpc_calls_total', 'method', 'status');
  const hits = counter('response_cache_hits_total', 'model');
  const misses = counter('response_cache_misses_total', 'model');
  const inFlight = new Gauge({ name: 'interleave_tenant_requests_in_flight', help: 'h', labelNames: ['tenant'], registers });
  const counts = new NodeCounts();
  const history = new CounterHistory();
  const readAt = async (nowMs: number) => {
    const metrics = (await registry.getMetricsAsJSON()) as MetricsJson;
    counts.add('api', 1, countsOf(metrics));
    history.add(counts.total, nowMs);
    return frontDoorView(new MetricsView([metrics]), history.last(RATE_WINDOW_MS));
  };

  it('has what was counted, and rates over the last seconds', async () => {
    seconds.inc({ tenant: 'acme' }, 1);
    tiers.inc({ tier: 'default' }, 5);
    await readAt(0);
    seconds.inc({ tenant: 'acme' }, 0.5);
    seconds.inc({ tenant: 'new' }, 0.2);
    inFlight.set({ tenant: 'waits' }, 3);
    tiers.inc({ tier: 'default' }, 4);
    calls.inc({ method: 'ModelInfer', status: 'OK' }, 7);
    calls.inc({ method: 'ServerLive', status: 'CANCELLED' });
    hits.inc({ model: 'm' }, 2);
    misses.inc({ model: 'm' }, 6);
    const state = await readAt(2000);
    const tenant = { shareMsPerSecond: null, inFlight: 0, refused: 0 };
    expect(state.tenants).toEqual([
      { ...tenant, tenant: 'acme', usedMsPerSecond: 250 },
      { ...tenant, tenant: 'new', usedMsPerSecond: 100 },
      { ...tenant, tenant: 'waits', usedMsPerSecond: 0, inFlight: 3 },
    ]);
    expect(state.tiers).toEqual([{ tier: 'default', requests: 9, requestsPerSecond: 2 }]);
    expect(state.grpc).toEqual([
      { method: 'ModelInfer', open: 0, calls: [{ status: 'OK', calls: 7 }] },
      { method: 'ServerLive', open: 0, calls: [{ status: 'CANCELLED', calls: 1 }] },
    ]);
    expect(state.cache).toEqual({ bytes: 0, models: [{ model: 'm', hits: 2, misses: 6 }] });
    expect(state.keys).toEqual({ valid: 0, ending: 0, expired: 0, requestsWithout: 0 });
  });
});
