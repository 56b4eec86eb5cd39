import { Counter, Registry } from 'prom-client';
import type { MetricsJson } from '@app/process';
import { MetricsView, quantileBetween } from './metrics-view';

const infinite = (count: number) => ({ le: Infinity, count });

describe('reading metrics', () => {
  it('adds up the series with the given labels', async () => {
    const registry = new Registry();
    const counter = new Counter({ name: 'c', help: 'c', labelNames: ['lane', 'model'], registers: [registry] });
    counter.inc({ lane: 'realtime', model: 'a' }, 2);
    counter.inc({ lane: 'realtime', model: 'b' }, 3);
    counter.inc({ lane: 'batch', model: 'a' }, 5);
    const view = new MetricsView([(await registry.getMetricsAsJSON()) as MetricsJson]);
    expect([view.sum('c'), view.sum('c', { lane: 'realtime' }), view.sum('c', { lane: 'none' }), view.sum('nope')]).toEqual([10, 5, 0, 0]);
    expect([view.max('c'), view.max('nope')]).toEqual([5, null]);
  });

  it('takes quantiles of what came between two readings', () => {
    const earlier = [{ le: 1, count: 100 }, { le: 2, count: 100 }, infinite(100)];
    const later = [{ le: 1, count: 100 }, { le: 2, count: 110 }, infinite(110)];
    expect(quantileBetween(earlier, later, 0.5)).toBe(1.5);
    expect(quantileBetween(earlier, later, 1)).toBe(2);
  });

  it('has no quantile of nothing, and stays at the last bound beyond all', () => {
    expect(quantileBetween([], [{ le: 1, count: 0 }, infinite(0)], 0.5)).toBeNull();
    expect(quantileBetween([], [{ le: 1, count: 0 }, infinite(4)], 0.99)).toBe(1);
  });
});
