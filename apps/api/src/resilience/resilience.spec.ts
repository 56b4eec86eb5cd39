import { rmSync } from 'node:fs';
import { InterleaveError, type InferenceRequest, type ItemResult } from '@app/contracts';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

/** Answers each model in its own way. */
class ModelsBackend extends EchoBackend {
  readonly refusals = new Map<string, InterleaveError>();
  readonly asked: string[] = [];

  override async infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    this.asked.push(request.model);
    const refusal = this.refusals.get(request.model);
    if (refusal !== undefined) throw refusal;
    return super.infer(request);
  }
}

const overloaded = new InterleaveError('overloaded', 'full', { retryAfterSeconds: 3 });
const late = new InterleaveError('deadline_exceeded', 'too late');
const broken = new InterleaveError('internal', 'broken');
const cache = { bytesMax: 1024 * 1024, ttlSeconds: 300, deterministic: false };
const small = { kind: 'model', model: 'small', version: null, sameSpace: false } as const;

describe('live requests in trouble', () => {
  let backend: ModelsBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;

  beforeEach(async () => {
    backend = new ModelsBackend();
    const [echo] = backend.reports;
    backend.reports = [echo, { ...echo, name: 'small' }] as typeof backend.reports;
    options = apiOn(backend);
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  const predict = (values: number[] = [1], headers: Record<string, string> = {}, model = 'echo'): Promise<Response> =>
    fetch(`${url}/v1/models/${model}:predict`, {
      method: 'POST',
      body: JSON.stringify({ instances: values.map((value) => ({ x: [value, 0.5] })) }),
      headers: { 'content-type': 'application/json', ...headers },
    });
  const infer = (headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}/v2/models/echo/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 0.5] }] }),
      headers: { 'content-type': 'application/json', ...headers },
    });
  const metric = async (line: string): Promise<string | undefined> =>
    (await (await fetch(`${url}/metrics`)).text()).split('\n').find((text) => text.startsWith(line));
  const fail = async (times: number, headers: Record<string, string> = {}): Promise<number[]> => {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push((await predict([i], headers)).status);
    return statuses;
  };

  describe('the breaker of a model', () => {
    it('opens after failures of its own, answers 503 with the reason and the time, leaves others alone, and closes again', async () => {
      backend.refusals.set('echo', broken);
      expect(await fail(10)).toEqual(Array(10).fill(500));
      const refused = await predict();
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await refused.json()).toMatchObject({
        error: expect.stringMatching(/"echo" version 1 is not tried for now: .*broken; try again in 1 s/) as string,
      });
      expect(await metric('interleave_breaker_state{name="model echo 1"}')).toMatch(/ 2$/);
      expect(await metric('interleave_breaker_opened_total{name="model echo 1"}')).toMatch(/ 1$/);
      expect((await predict([1], {}, 'small')).status).toBe(200);
      backend.refusals.clear();
      const asked = backend.asked.length;
      jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 1000);
      expect((await predict()).status).toBe(200);
      expect(backend.asked.length).toBe(asked + 1);
      jest.restoreAllMocks();
      expect(await metric('interleave_breaker_state{name="model echo 1"}')).toMatch(/ 0$/);
    });

    it.each([
      ['deadlines of callers that give little time', late, { 'x-interleave-timeout-ms': '100' }, 504],
      ['a full node', overloaded, {}, 429],
      ['inputs that fail', new InterleaveError('inference_failed', 'no'), {}, 422],
      ['inputs that are wrong', new InterleaveError('invalid_request', 'no'), {}, 400],
    ])('does not open for %s', async (_name, refusal, headers, status) => {
      backend.refusals.set('echo', refusal);
      expect(await fail(30, headers as Record<string, string>)).toEqual(Array(30).fill(status));
      expect(await metric('interleave_breaker_state{name="model echo 1"}')).toMatch(/ 0$/);
    });

    it('opens for missed deadlines of requests that had their time', async () => {
      backend.refusals.set('echo', late);
      expect(await fail(11)).toEqual([...(Array(10).fill(504) as number[]), 503]);
    });

    it('is tried with the time of the model, whatever its caller gives, and without the caller', async () => {
      backend.refusals.set('echo', broken);
      await fail(10);
      backend.refusals.clear();
      let answer: () => void = () => undefined;
      backend.gate = new Promise<void>((resolve) => (answer = resolve));
      jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 1000);
      expect((await predict([1], { 'x-interleave-timeout-ms': '20' })).status).toBe(504);
      expect(backend.requests.at(-1)).toMatchObject({ timeoutMs: 10_000, signal: null });
      expect((await predict()).status).toBe(503);
      answer();
      backend.gate = Promise.resolve();
      await new Promise((resolve) => setImmediate(resolve));
      expect((await predict()).status).toBe(200);
      jest.restoreAllMocks();
    });
  });

  describe('degrade', () => {
    it('has another model answer, and says so', async () => {
      backend.policies['echo'] = { degrade: [small] };
      backend.refusals.set('echo', overloaded);
      const response = await infer();
      expect([response.status, response.headers.get('x-interleave-degraded')]).toEqual([200, 'model=small']);
      expect(await response.json()).toMatchObject({ model_name: 'small', outputs: [{ data: [1, 0.5] }] });
      expect(await metric('interleave_degraded_total{model="echo",by="small"}')).toMatch(/ 1$/);
    });

    it('does not when the caller says never, when the fault is another, or without being asked to', async () => {
      backend.policies['echo'] = { degrade: [small] };
      backend.refusals.set('echo', overloaded);
      const never = await infer({ 'x-interleave-degrade': 'never' });
      expect([never.status, never.headers.get('x-interleave-degraded'), never.headers.get('retry-after')]).toEqual([429, null, '3']);
      expect((await infer({ 'x-interleave-degrade': 'perhaps' })).status).toBe(400);
      backend.refusals.set('echo', broken);
      expect((await infer()).status).toBe(500);
      backend.policies['echo'] = {};
      backend.refusals.set('echo', overloaded);
      expect((await infer()).status).toBe(429);
    });

    it('goes on to the next step, and to the first error when none helps', async () => {
      backend.policies['echo'] = { cache: { ...cache, ttlSeconds: 1 }, degrade: [small, { kind: 'cached' }] };
      expect((await predict([1, 2])).status).toBe(200);
      backend.refusals.set('echo', overloaded).set('small', late);
      const now = performance.now();
      jest.spyOn(performance, 'now').mockImplementation(() => now + 5500);
      const cached = await predict([2]);
      const unknown = await predict([2, 3]);
      jest.restoreAllMocks();
      expect([cached.status, cached.headers.get('x-interleave-degraded')]).toEqual([200, 'cached; age=5']);
      expect(await cached.json()).toEqual({ predictions: [[2, 0.5]] });
      expect([unknown.status, unknown.headers.get('retry-after')]).toEqual([429, '3']);
    });

    it.each([
      [
        'other inputs',
        { inputs: [{ name: 'x', datatype: 'FP64' as const, shape: [-1, 2], axes: ['batch' as const, 'fixed' as const] }] },
        {},
      ],
      [
        'other outputs',
        { outputs: [{ name: 'z', datatype: 'FP32' as const, shape: [-1, 2], axes: ['batch' as const, 'fixed' as const] }] },
        {},
      ],
      ['other labels', {}, { head: 'labels' }],
      ['another tokenizer', {}, { tokenizerDigest: 'abc' }],
    ])('refuses a model with %s', async (_name, signature, policy) => {
      backend.policies['echo'] = { degrade: [small] };
      backend.policies['small'] = policy;
      const [echo, other] = backend.reports as [(typeof backend.reports)[0], (typeof backend.reports)[0]];
      if (other.signature === null) throw new Error('expected a signature');
      backend.report([echo, { ...other, signature: { ...other.signature, ...signature } }]);
      backend.refusals.set('echo', overloaded);
      expect((await infer()).status).toBe(429);
      expect(backend.asked).toEqual(['echo']);
    });

    it('helps where a request is refused before its body is read, unless the others are full too', async () => {
      backend.refusals.set('echo', overloaded);
      const look = jest.spyOn(backend, 'checkAhead').mockImplementation(({ model }) => {
        if (model === 'echo') throw overloaded;
        return 0;
      });
      expect((await predict()).status).toBe(429);
      expect(backend.asked).toEqual([]);
      backend.policies['echo'] = { degrade: [small] };
      expect((await predict()).status).toBe(200);
      look.mockImplementation(() => {
        throw overloaded;
      });
      backend.asked.length = 0;
      expect((await predict()).status).toBe(429);
      expect(backend.asked).toEqual([]);
    });

    it('helps where no worker has the model', async () => {
      backend.policies['echo'] = { degrade: [small] };
      backend.report(backend.reports.map((report) => report));
      const [echo, other] = backend.reports as [(typeof backend.reports)[0], (typeof backend.reports)[0]];
      backend.report([{ ...echo, state: 'loading', signature: null }, other]);
      const response = await predict();
      expect([response.status, response.headers.get('x-interleave-degraded')]).toEqual([200, 'model=small']);
    });
  });

  it('compares what stands in with the version that was asked for, not with another one that is ready', async () => {
    const [echo, other] = backend.reports as [(typeof backend.reports)[0], (typeof backend.reports)[0]];
    const second = { ...echo, version: '2', revision: echo.revision + 100 };
    backend.policies['echo 1'] = { head: 'a, b', degrade: [small] };
    backend.policies['echo 2'] = { head: 'b, a', degrade: [small] };
    backend.report([echo, second, other]);
    const down = { ...echo, state: 'loading' as const, signature: null };
    for (const [head, status] of [
      ['b, a', 503],
      ['a, b', 200],
    ] as const) {
      backend.policies['small'] = { head };
      backend.report([echo, second, other]);
      backend.report([down, second, other]);
      expect((await predict()).status).toBe(status);
    }
  });

  describe('the cache', () => {
    it('is left out for the next step of degrade where the model is no longer ready', async () => {
      backend.policies['echo'] = { cache, degrade: [{ kind: 'cached' }, small] };
      backend.report([...backend.reports]);
      jest.spyOn(backend, 'infer').mockImplementationOnce(() => {
        backend.report(
          backend.reports.map((report) => (report.name === 'echo' ? { ...report, state: 'loading' as const, signature: null } : report)),
        );
        return Promise.reject(overloaded);
      });
      const response = await predict();
      expect([response.status, response.headers.get('x-interleave-degraded')]).toEqual([200, 'model=small']);
    });

    it('is off by default', async () => {
      await predict();
      const response = await predict();
      expect(response.headers.get('server-timing')).not.toContain('cache');
      expect(backend.asked.length).toBe(2);
    });

    it('answers equal items of all protocols, runs the missing ones only, and says so', async () => {
      backend.policies['echo'] = { cache };
      const first = await predict([1, 2]);
      expect(first.headers.get('server-timing')).toMatch(/, cache;desc=miss$/);
      const mixed = await predict([3, 2, 4]);
      expect(mixed.headers.get('server-timing')).toMatch(/, cache;desc="1 of 3 hit"$/);
      expect(await mixed.json()).toEqual({
        predictions: [
          [3, 0.5],
          [2, 0.5],
          [4, 0.5],
        ],
      });
      expect(backend.requests.at(-1)?.items.length).toBe(2);
      const hit = await infer();
      expect(hit.headers.get('server-timing')).toMatch(/, cache;desc=hit$/);
      expect(await hit.json()).toMatchObject({ outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 0.5] }] });
      expect(backend.asked.length).toBe(2);
      expect(await metric('interleave_stage_seconds_count{stage="run"}')).toMatch(/ 2$/);
      expect(await metric('interleave_stage_seconds_count{stage="respond"}')).toMatch(/ 3$/);
      const { model_stats: stats } = (await (await fetch(`${url}/v2/models/echo/stats`)).json()) as { model_stats: object[] };
      expect(stats).toMatchObject([{ inference_stats: { success: { count: 3 }, compute_infer: { count: 2 } } }]);
      expect(await metric('interleave_response_cache_hits_total{model="echo"}')).toMatch(/ 2$/);
      expect(await metric('interleave_response_cache_misses_total{model="echo"}')).toMatch(/ 4$/);
      expect(await metric('interleave_response_cache_bytes')).toMatch(/ \d+$/);
    });

    it('answers while the node is full, also for callers that take no stand-in', async () => {
      backend.policies['echo'] = { cache };
      await predict();
      backend.refusals.set('echo', overloaded);
      jest.spyOn(backend, 'checkAhead').mockImplementation(() => {
        throw overloaded;
      });
      expect((await predict([1], { 'x-interleave-degrade': 'never' })).status).toBe(200);
      expect((await predict([2])).status).toBe(429);
    });

    it('keeps no errors, and nothing of a model that is loaded again', async () => {
      backend.policies['echo'] = { cache };
      backend.refusals.set('echo', new InterleaveError('inference_failed', 'no'));
      expect((await predict()).status).toBe(422);
      backend.refusals.clear();
      expect((await predict()).headers.get('server-timing')).toMatch(/cache;desc=miss$/);
      const { reports } = backend;
      backend.report(reports.map((report) => ({ ...report, state: 'loading' as const })));
      backend.report(reports);
      expect((await predict()).headers.get('server-timing')).toMatch(/cache;desc=miss$/);
      expect((await predict()).headers.get('server-timing')).toMatch(/cache;desc=hit$/);
    });
  });
});
