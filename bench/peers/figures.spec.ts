import { figuresOf } from './figures';

const outcome = (status: number, latencyMs: number) => ({ status, latencyMs, dueMs: 0, serviceMs: latencyMs });

describe('figuresOf', () => {
  const options = { durationMs: 2000, deadlineMs: 500 };

  it('counts an answer after the deadline as an answer that is not in time', () => {
    const figures = figuresOf([outcome(200, 100), outcome(200, 500), outcome(200, 501), outcome(200, 900)], options);
    expect(figures).toMatchObject({ answeredPerSecond: 2, inTimePerSecond: 1, inTimeShare: 0.5, failedShare: 0 });
  });

  it('leaves refusals and lost requests out of the latencies', () => {
    const figures = figuresOf([outcome(200, 100), outcome(429, 1), outcome(0, 9000), outcome(200, 200)], options);
    expect(figures).toMatchObject({ p50Ms: 200, p99Ms: 200, failedShare: 0.5, inTimeShare: 0.5, requests: 4 });
  });
});
