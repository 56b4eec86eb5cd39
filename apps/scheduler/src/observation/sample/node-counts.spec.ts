import type { MetricsJson } from '@app/process';
import { Counter, Histogram, Registry } from 'prom-client';
import { RATE_WINDOW_MS, CounterHistory } from './counter-window';
import { countsOf } from './counted';
import { NodeCounts } from './node-counts';

/** A process as it is until it ends. */
class CountingProcess {
  private readonly registry = new Registry();
  readonly rows = new Histogram({
    name: 'interleave_run_rows',
    help: 'h',
    labelNames: ['lane', 'model', 'version', 'worker'],
    buckets: [1, 8],
    registers: [this.registry],
  });
  readonly requests = new Counter({
    name: 'interleave_requests_total',
    help: 'h',
    labelNames: ['lane', 'model', 'status'],
    registers: [this.registry],
  });
  readonly seconds = new Histogram({
    name: 'interleave_request_seconds',
    help: 'h',
    labelNames: ['lane', 'model'],
    buckets: [0.01, 0.1],
    registers: [this.registry],
  });

  run(rows: number): void {
    this.rows.observe({ lane: 'batch', model: 'm', version: '1', worker: 'w' }, rows);
  }

  async counts() {
    return countsOf((await this.registry.getMetricsAsJSON()) as MetricsJson);
  }
}

const BATCH_ROWS = 'interleave_run_rows_sum';

describe('what the node has counted', () => {
  async function rowsAfter(
    looks: (look: (process: CountingProcess, pid: number | null) => Promise<void>) => Promise<void>,
  ): Promise<number> {
    const node = new NodeCounts();
    const history = new CounterHistory();
    let nowMs = 0;
    history.add(node.total, nowMs);
    await looks(async (process, pid) => {
      node.add('w', pid, await process.counts());
      history.add(node.total, (nowMs += 1000));
    });
    return history.last(RATE_WINDOW_MS).grown(BATCH_ROWS, { lane: 'batch' });
  }

  it('leaves out what was before the first look', async () => {
    const process = new CountingProcess();
    process.run(100);
    expect(await rowsAfter((look) => look(process, 1))).toBe(0);
  });

  it.each([
    ['its pid says so', 2],
    ['its counters went down', 1],
  ])('goes on exactly over a restart, when %s', async (_how, pidAfter) => {
    const [before, after] = [new CountingProcess(), new CountingProcess()];
    const rows = await rowsAfter(async (look) => {
      await look(before, 1);
      before.run(500);
      await look(before, 1);
      after.run(7);
      await look(after, pidAfter);
      after.run(3);
      await look(after, pidAfter);
    });
    expect(rows).toBe(510);
  });

  it.each([
    ['for a moment', [1, null, 1]],
    ['at first', [null, 1, 1]],
  ])('takes a process for the same while its pid is not known, %s', async (_when, pids) => {
    const process = new CountingProcess();
    process.run(1000);
    const rows = await rowsAfter(async (look) => {
      for (const pid of pids) {
        await look(process, pid);
        process.run(2);
      }
    });
    expect(rows).toBe(4);
  });

  it('counts a process that has more at once than the one before it had', async () => {
    const [before, after] = [new CountingProcess(), new CountingProcess()];
    const rows = await rowsAfter(async (look) => {
      before.run(1);
      await look(before, 1);
      after.run(400);
      await look(after, 2);
    });
    expect(rows).toBe(400);
  });

  it('tells models and lanes apart', async () => {
    const node = new NodeCounts();
    const process = new CountingProcess();
    node.add('api', 1, await process.counts());
    process.requests.inc({ lane: 'realtime', model: 'a', status: '200' }, 3);
    process.requests.inc({ lane: 'batch', model: 'b', status: '200' }, 4);
    node.add('api', 1, await process.counts());
    expect(Object.fromEntries(node.total)).toMatchObject({
      'interleave_requests_total{lane}\nrealtime': 3,
      'interleave_requests_total{lane}\nbatch': 4,
    });
  });
});

describe('a window of counters', () => {
  it('has rates and quantiles of its time only', async () => {
    const node = new NodeCounts();
    const history = new CounterHistory();
    const process = new CountingProcess();
    const lookAt = async (nowMs: number) => {
      node.add('api', 1, await process.counts());
      history.add(node.total, nowMs);
    };
    await lookAt(0);
    process.requests.inc({ lane: 'realtime', model: 'm', status: '200' }, 1000);
    process.seconds.observe({ lane: 'realtime', model: 'm' }, 0.09);
    await lookAt(20_000);
    process.requests.inc({ lane: 'realtime', model: 'm', status: '200' }, 40);
    for (let i = 0; i < 40; i++) process.seconds.observe({ lane: 'realtime', model: 'm' }, 0.005);
    await lookAt(28_000);
    const [seconds, minute] = [history.last(RATE_WINDOW_MS), history.last(60_000)];
    expect([seconds.perSecond('interleave_requests_total', { lane: 'realtime' }), seconds.seconds]).toEqual([5, 8]);
    expect(minute.grown('interleave_requests_total', { lane: 'realtime' })).toBe(1040);
    expect(seconds.quantile('interleave_request_seconds', { lane: 'realtime' }, 1)).toBe(0.01);
    expect(minute.quantile('interleave_request_seconds', { lane: 'realtime', model: 'm' }, 1)).toBeGreaterThan(0.05);
    expect(seconds.quantile('interleave_request_seconds', { lane: 'batch' }, 0.5)).toBeNull();
  });

  it('knows nothing of rates at the first look', () => {
    const history = new CounterHistory();
    history.add(new Map(), 5);
    expect(history.last(RATE_WINDOW_MS).perSecond('interleave_requests_total', { lane: 'realtime' })).toBeNull();
  });
});
