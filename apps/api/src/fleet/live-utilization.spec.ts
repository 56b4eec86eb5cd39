import { LiveUtilization } from './live-utilization';

it('is the share of the executors that answers took between two readings', () => {
  const shares = { ranMs: 0 };
  const utilization = new LiveUtilization(shares);
  const startMs = performance.now();
  expect(utilization.read(2, startMs + 100)).toBeNull();
  shares.ranMs = 500;
  expect(utilization.read(2, startMs + 1000)).toBeCloseTo(0.25, 1);
  // Too soon, and without executors: as before.
  expect(utilization.read(2, startMs + 1100)).toBeCloseTo(0.25, 1);
  expect(utilization.read(0, startMs + 9000)).toBeCloseTo(0.25, 1);
  shares.ranMs = 9000;
  expect(utilization.read(2, startMs + 2000)).toBe(1);
});
