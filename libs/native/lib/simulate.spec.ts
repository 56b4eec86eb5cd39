import { simulate } from './index';
import type { SimulatedItem, SimulationOptions } from './addon';

const MS = 1e6;

/** A row of 10 tokens takes 10 ms, two take 15 ms. */
function optionsWith(trace: SimulatedItem[]): SimulationOptions {
  return {
    lane: 'realtime',
    executors: 1,
    costs: { lengths: [10], rows: [1, 2], runNs: [[10 * MS, 15 * MS]] },
    rowsMax: 8,
    tokensMax: 4096,
    modelsCount: 1,
    queueItemsMax: 100,
    seed: 1,
    trace,
  };
}

function item(over: Partial<SimulatedItem> = {}): SimulatedItem {
  return { arrivalNs: 0, model: 0, priority: 0, rows: 1, lengths: [10, 0], timeoutNs: 0, ...over };
}

describe('simulate', () => {
  it('shares a run where that costs less', () => {
    const report = simulate(optionsWith([item(), item()]));
    expect(report).toMatchObject({ items: 2, answered: 2, refused: 0, runs: 1, waitingItems: 2, rowsPerRun: 2 });
    expect(report.latency.maxNs).toBeGreaterThan(14 * MS);
    expect(report.latency.maxNs).toBeLessThan(16 * MS);
  });

  it('refuses what would miss its deadline', () => {
    const report = simulate(optionsWith([item(), item({ arrivalNs: 1 * MS, timeoutNs: 15 * MS })]));
    expect(report).toMatchObject({ answered: 1, refused: 1, late: 0 });
  });

  it('says what is wrong', () => {
    expect(() => simulate(optionsWith([item({ arrivalNs: 2 }), item()]))).toThrow('trace item 1: expected arrivals in ascending order');
    expect(() => simulate({ ...optionsWith([item()]), costs: { lengths: [], rows: [1], runNs: [] } })).toThrow('lengths');
    expect(() => simulate(optionsWith([item({ rows: 0 })]))).toThrow('at least 1 row');
  });
});
