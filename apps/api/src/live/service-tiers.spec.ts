import { mkdirSync, rmSync } from 'node:fs';
import { runPaths } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { PlacementReader, serveProcessStatus } from '@app/process';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { ANONYMOUS } from '../access/caller';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { newCall } from './live-call';
import { enterBatchLane } from './service-tiers';

const PREDICT = '/v1/models/echo:predict';
const INFER = '/v2/models/echo/infer';
const INPUT = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] };
const TIER = 'x-interleave-service-tier';

describe('service_tier', () => {
  let live: EchoBackend;
  let batch: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;

  beforeEach(async () => {
    live = new EchoBackend();
    batch = new EchoBackend('batch');
    options = apiOn(live, { batch });
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function post(path: string, body: object, headers: Record<string, string> = {}) {
    const response = await fetch(url + path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
    return { statusCode: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
  }
  const predict = (parameters: object = {}, headers: Record<string, string> = {}) =>
    post(PREDICT, { instances: [{ x: [1, 2] }], parameters }, headers);
  const infer = (parameters: object) => post(INFER, { inputs: [INPUT], parameters });

  it.each([
    ['a parameter of predict', () => predict({ service_tier: 'flex' })],
    ['a parameter of infer', () => infer({ service_tier: 'flex' })],
    ['the header', () => predict({}, { [TIER]: 'flex' })],
    ['both, the same', () => predict({ service_tier: 'flex' }, { [TIER]: 'flex' })],
  ])('runs flex in the batch lane, by %s', async (_what, send) => {
    const response = await send();
    expect([response.statusCode, response.headers[TIER]]).toEqual([200, 'flex']);
    expect([live.requests.length, batch.requests.length]).toEqual([0, 1]);
    expect(batch.requests[0]?.timeoutMs).toBeGreaterThan(options.config.realtime.timeoutMs / 2);
    const metrics = await app.get(Registry).metrics();
    expect(metrics).toMatch(/interleave_requests_total\{lane="batch",model="echo",[^}]*status="200"\} 1/);
    expect(metrics).toMatch(/^interleave_tier_requests_total\{tier="flex"\} 1$/m);
    expect(metrics).toMatch(/interleave_request_seconds_count\{lane="batch",model="echo"\} 1/);
    expect(metrics).not.toMatch(/interleave_request_seconds_count\{lane="realtime"/);
  });

  it.each([
    ['priority', {}, 1],
    ['default', {}, 0],
    ['auto', {}, 0],
    ['priority', { 'x-interleave-priority': '200' }, 200],
  ])('%s with %j runs in the live lane with priority %d', async (tier, headers, priority) => {
    const response = await predict({ service_tier: tier }, headers as never);
    expect(response.headers[TIER]).toBe(tier === 'auto' ? 'default' : tier);
    expect(live.requests.map((request) => request.priority)).toEqual([priority]);
    expect(batch.requests).toEqual([]);
  });

  it('says nothing of it where nobody asked', async () => {
    expect((await predict()).headers).not.toHaveProperty(TIER);
  });

  it.each(['fast', '', 1, ['flex'], 'Flex'])('refuses %j', async (tier) => {
    for (const response of [await predict({ service_tier: tier }), await infer({ service_tier: tier })]) {
      expect(response.statusCode).toBe(400);
      expect(response.body).toContain('parameters.service_tier');
    }
  });

  it('refuses a header that says otherwise than the body, and one that is no tier', async () => {
    for (const tier of ['default', 'fast']) {
      const response = await predict({ service_tier: 'flex' }, { [TIER]: tier });
      expect([response.statusCode, response.body]).toEqual([400, expect.stringContaining(TIER)]);
    }
  });

  it('answers 429 where no batch worker has the model', async () => {
    batch.reports = [];
    const response = await predict({ service_tier: 'flex' });
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '30']);
    expect(response.body).toMatch(/no batch worker has it.*leave out service_tier/);
    expect((await predict()).statusCode).toBe(200);
  });

  it('answers 429 while the batch lane is full, and as it says', async () => {
    batch.refusal = new InterleaveError('overloaded', 'full', { retryAfterSeconds: 7 });
    const response = await predict({ service_tier: 'flex' });
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '7']);
  });

  it('answers 429 while the SLO controller pauses the batch lane', async () => {
    const placement = app.get(PlacementReader).placement;
    const [worker] = placement?.workers ?? [];
    placement?.workers.push({ ...worker, id: 'p0-batch', lane: 'batch' } as never);
    const control = { worker: 'p0-batch', executors: 0 };
    mkdirSync(options.config.runDir, { recursive: true });
    const scheduler = await serveProcessStatus({
      socketPath: runPaths(options.config.runDir).statusSocket('scheduler'),
      registry: new Registry(),
      status: () => ({ laneControl: { batchWorkers: [control] } }),
    });
    const response = await predict({ service_tier: 'flex' });
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '5']);
    expect(response.body).toMatch(/paused.*leave out service_tier/);
    control.executors = 1;
    while ((await predict({ service_tier: 'flex' })).statusCode !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
    await scheduler.close();
  });

  it('is forbidden to keys without the batch lane', () => {
    const call = newCall('predict', { ...ANONYMOUS, lanes: ['realtime'] }, { requestId: 'r', trace: null });
    expect(() => enterBatchLane(call)).toThrow(/but not the batch lane/);
  });
});
