import { rmSync } from 'node:fs';
import { addKey, keyFilePath } from '@app/access';
import { InterleaveError, LANES } from '@app/contracts';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

const POLICY = '"share";q=500;qu="executor-milliseconds";w=5';

describe('the share of a tenant', () => {
  let backend: EchoBackend;
  let batch: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let limited: string;
  let unlimited: string;

  const keyOf = async (tenant: string, shareMsPerSecond: number | null): Promise<string> => {
    const grant = { tenant, name: null, models: null, lanes: [...LANES], shareMsPerSecond, weight: 3, isOperator: true, expiresAt: null };
    return (await addKey(keyFilePath(options.config.dataDir), grant)).secret;
  };

  beforeEach(async () => {
    backend = new EchoBackend();
    backend.itemNs = 100e6;
    batch = new EchoBackend('batch');
    options = apiOn(backend, { batch });
    limited = await keyOf('acme', 100);
    unlimited = await keyOf('free', null);
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  const post = (key: string, parameters: object = {}, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}/v1/models/echo:predict`, {
      method: 'POST',
      body: JSON.stringify({ instances: [{ x: [1, 2] }], parameters }),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
    });
  const leftOf = ({ headers }: Response): number => Number(/r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);
  const untilAsked = async (requests: number): Promise<void> => {
    while (backend.requests.length < requests) await new Promise((resolve) => setImmediate(resolve));
  };

  it('is used up by predictions, answered with the time to wait, and given back by what was measured', async () => {
    let release: () => void = () => undefined;
    backend.gate = new Promise<void>((resolve) => (release = resolve));
    const taken = Array.from({ length: 5 }, () => post(limited));
    await untilAsked(5);
    const refused = await post(limited);
    expect(refused.status).toBe(429);
    expect(await refused.text()).toContain('Tenant acme has used its share of 100 ms of executor time per second; try again in 1 s');
    expect([refused.headers.get('retry-after'), refused.headers.get('ratelimit-policy')]).toEqual(['1', POLICY]);
    expect(refused.headers.get('ratelimit')).toMatch(/^"share";r=\d+;t=1$/);
    const free = post(unlimited);
    await untilAsked(6);
    release();
    const answers = await Promise.all([...taken, free]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(answers[5]?.headers.get('ratelimit')).toBeNull();
    const last = await post(limited);
    // Six answers of a third of 2.5 ms each.
    expect(leftOf(last)).toBeGreaterThanOrEqual(494);
    expect(backend.requests[0]?.share).toMatchObject({ tenant: 'acme', weight: 3 });
  });

  describe('with service_tier flex', () => {
    const WAYS: [string, () => Promise<Response>][] = [
      ['the header', () => post(limited, {}, { 'x-interleave-service-tier': 'flex' })],
      ['the body', () => post(limited, { service_tier: 'flex' })],
    ];

    it.each(WAYS)('is used as in the live lane, by %s', async (_way, send) => {
      batch.ranNs = 300e6;
      const response = await send();
      expect([response.status, backend.requests.length, batch.requests.length]).toEqual([200, 0, 1]);
      expect(leftOf(response)).toBeLessThan(450);
    });

    it.each(WAYS)('is refused where it is used up, by %s', async (_way, send) => {
      backend.ranNs = 1800e6;
      await post(limited);
      const refused = await send();
      expect([refused.status, await refused.text()]).toEqual([429, expect.stringContaining('Tenant acme has used its share')]);
      const metrics = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${unlimited}` } });
      const text = await metrics.text();
      // In the lane of the request as far as it was known, as it counts among all refused.
      const lane = /^interleave_refused_total\{lane="(\w+)",reason="overloaded"\} 1$/m.exec(text)?.[1];
      expect(text).toContain(`\ninterleave_tenant_refused_total{tenant="acme",lane="${lane}"} 1\n`);
      expect(batch.requests).toHaveLength(0);
    });
  });

  it('is not used by requests that are refused', async () => {
    backend.refusal = new InterleaveError('worker_unavailable', 'none');
    for (let i = 0; i < 12; i++) expect((await post(limited)).status).toBe(503);
  });

  it('is shown in metrics, with what waits', async () => {
    const asked = { headers: { authorization: `Bearer ${unlimited}` } };
    for (let i = 0; i < 3; i++) await post(limited);
    let release: () => void = () => undefined;
    backend.gate = new Promise<void>((resolve) => (release = resolve));
    const waiting = [post(unlimited), post(unlimited)];
    await untilAsked(5);
    const metrics = await (await fetch(`${url}/metrics`, asked)).text();
    release();
    await Promise.all(waiting);
    const seconds = /^interleave_tenant_executor_seconds_total\{tenant="acme"\} (.*)$/m.exec(metrics)?.[1];
    expect(Number(seconds)).toBeCloseTo(0.0025, 9);
    expect(metrics).toMatch(/^interleave_tenant_share_executor_seconds\{tenant="acme"\} 0.1$/m);
    expect(metrics).toMatch(/^interleave_tenant_requests_in_flight\{tenant="free"\} 2$/m);
    expect(metrics).toMatch(/^interleave_tier_requests_total\{tier="default"\} 3$/m);
    const after = await (await fetch(`${url}/metrics`, asked)).text();
    expect(after).toMatch(/^interleave_tenant_requests_in_flight\{tenant="free"\} 0$/m);
  });
});
