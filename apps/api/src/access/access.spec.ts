import crypto from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { addKey, checkAccess, keyFilePath, removeKey, type KeyGrant } from '@app/access';
import type { Config } from '@app/config';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { Access } from './access';
import { GRANT } from '../../../../test/fixtures/key-grant';

const PREDICT = '/v1/models/echo:predict';
const BODY = '{"instances":[{"x":[1,2]}]}';
const ROW = '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}\n';

describe('the door', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;

  const path = () => keyFilePath(options.config.dataDir);
  const key = async (grant: Partial<KeyGrant> = {}) => addKey(path(), { ...GRANT, ...grant });
  const secretOf = async (grant: Partial<KeyGrant> = {}) => (await key(grant)).secret;

  async function open(access: Partial<Config['access']> = {}): Promise<void> {
    options = { ...options, config: { ...options.config, access: { ...options.config.access, ...access } } };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  }
  beforeEach(() => (options = apiOn(new EchoBackend())));
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  const get = (where: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(url + where, { headers, redirect: 'manual', ...init });
  const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });
  const post = (where: string, secret: string, body: string, type = 'application/json') =>
    get(where, { ...bearer(secret), 'content-type': type }, { method: 'POST', body });
  const predict = (secret: string) => post(PREDICT, secret, BODY);
  /** Changes of the key file are seen within moments. */
  async function until(isReached: () => Promise<boolean>): Promise<void> {
    while (!(await isReached())) await sleep(20);
  }

  it('is open where there is no key, and closes as soon as there is one', async () => {
    await open();
    expect([(await predict('none')).status, (await get('/dashboard')).status, (await get('/login')).status]).toEqual([200, 200, 303]);
    const secret = await secretOf();
    await until(async () => (await predict('none')).status === 401);
    expect((await predict(secret)).status).toBe(200);
  });

  it('stays open, whatever keys there are, where the configuration says so', async () => {
    await secretOf();
    await open({ mode: 'open' });
    expect((await predict('none')).status).toBe(200);
  });

  it('takes a key in either header, the more special one before the other', async () => {
    const secret = await secretOf();
    await open();
    const statuses = await Promise.all(
      [
        { authorization: `Bearer ${secret}` },
        { authorization: `bearer  ${secret} ` },
        { 'x-api-key': secret },
        { 'x-api-key': secret, authorization: 'Basic abc' },
        { 'x-api-key': secret, authorization: 'Bearer wrong' },
        { 'x-api-key': 'wrong', authorization: `Bearer ${secret}` },
        { authorization: `Basic ${secret}` },
        { authorization: secret },
      ].map(async (headers) => (await get('/v1/models', headers as Record<string, string>)).status),
    );
    expect(statuses).toEqual([200, 200, 200, 200, 200, 401, 401, 401]);
  });

  it('answers all keys that are not valid alike, and does as much for each', async () => {
    const expired = await secretOf({ expiresAt: 1 });
    const { secret: revoked, record } = await key();
    await removeKey(path(), record.id);
    const valid = await secretOf();
    await open();
    const hash = jest.spyOn(crypto, 'hash');
    const answers: unknown[][] = [];
    for (const secret of [expired, revoked, `ilk_${'x'.repeat(43)}`, 'x', '', 'a b', 'ü', 'a.b.c']) {
      hash.mockClear();
      const response = await get('/v1/models', secret === '' ? {} : { 'x-api-key': Buffer.from(secret).toString('latin1') });
      answers.push([response.status, response.headers.get('www-authenticate'), await response.text(), hash.mock.calls.length]);
    }
    expect(answers).toEqual(answers.map(() => answers[0]));
    expect(answers[0]).toEqual([401, 'Bearer realm="interleave"', expect.stringContaining('Expected a valid key'), 1]);
    hash.mockClear();
    expect([(await get('/v1/models', bearer(valid))).status, hash.mock.calls.length]).toEqual([200, 1]);
    hash.mockRestore();
  });

  it('counts keys by how long they are valid, and shows nothing else of them', async () => {
    const daysFromNow = (days: number) => Math.floor(Date.now() / 1000) + days * 24 * 3600;
    const made = await Promise.all(
      [1, daysFromNow(13), daysFromNow(15), null].map((expiresAt) => key({ expiresAt, isOperator: true, name: 'of-the-board' })),
    );
    await open();
    const operator = bearer(made[3]?.secret ?? '');
    await get('/v1/models');
    const shown = await (await get('/metrics', operator)).text();
    const counted = [...shown.matchAll(/^interleave_keys\{state="(\w+)"\} (\d+)$/gm)].map(([, state, keys]) => [state, Number(keys)]);
    expect(Object.fromEntries(counted)).toEqual({ valid: 2, ending: 1, expired: 1 });
    expect(shown).toMatch(/^interleave_requests_without_valid_key_total 1$/m);
    for (const { secret, record } of made)
      for (const part of [secret, record.sha256, record.id, record.prefix, 'of-the-board']) expect(shown).not.toContain(part);
  });

  it('answers before the body is sent', async () => {
    await secretOf();
    await open();
    const request = httpRequest(url + PREDICT, { method: 'POST', headers: { 'content-length': 50_000_000, expect: '100-continue' } });
    const status = await new Promise((resolve, reject) => {
      request.once('continue', () => reject(new Error('the body was asked for')));
      request.once('response', (response) => resolve(response.resume().statusCode));
      request.flushHeaders();
    });
    request.destroy();
    expect(status).toBe(401);
  });

  it.each([
    ['/v2/health/live', 200, 200, 200],
    ['/v2/health/ready', 200, 200, 200],
    ['/v2', 401, 200, 200],
    ['/v2/models/echo/ready', 401, 200, 200],
    ['/v1/models', 401, 200, 200],
    ['/v1/files', 401, 200, 200],
    ['/v1/batches', 401, 200, 200],
    ['/docs', 401, 200, 200],
    ['/docs-json', 401, 200, 200],
    ['/docs/swagger-ui.css', 401, 200, 200],
    ['/metrics', 401, 403, 200],
    ['/dashboard', 401, 403, 200],
    ['/dashboard/view', 401, 403, 503],
    ['/dashboard/history', 401, 403, 503],
    ['/%64ashboard/view', 401, 403, 503],
    ['//dashboard/', 401, 403, 200],
    ['/admin/queues', 401, 403, 503],
    ['/admin/queues/static/x', 401, 403, 503],
    ['/nowhere', 401, 404, 404],
    ['/v2/health/live/x', 401, 404, 404],
  ])('%s is %i without a key, %i with one, %i for operators', async (where, none, caller, operator) => {
    const secrets = [await secretOf(), await secretOf({ isOperator: true })];
    await open();
    const statuses = [];
    for (const headers of [{}, ...secrets.map(bearer)]) {
      const response = await get(where, headers);
      // A connection with an answer that nobody reads would stay open.
      await response.arrayBuffer();
      statuses.push(response.status);
    }
    expect(statuses).toEqual([none, caller, operator]);
  });

  it('hides models that a key may not use as if they were not there', async () => {
    const secret = await secretOf({ models: ['other'] });
    await open();
    const ask = async (where: string, body?: string) => {
      const response = await (body === undefined ? get(where, bearer(secret)) : post(where, secret, body));
      return [response.status, (await response.text()).replaceAll('nope', 'echo')];
    };
    for (const [hidden, body] of [
      [PREDICT, '{'],
      ['/v2/models/echo/infer', '{"inputs":[]}'],
      ['/v2/models/echo'],
      ['/v2/models/echo/ready'],
      ['/v2/models/echo/versions/1'],
      ['/v1/models/echo'],
    ] as const) {
      const answer = await ask(hidden, body);
      expect(answer).toEqual([404, expect.stringContaining('echo')]);
      expect(answer).toEqual(await ask(hidden.replace('echo', 'nope'), body));
    }
    const embed = (model: string) => ask('/v1/embeddings', JSON.stringify({ model, input: '' }));
    expect(await embed('echo')).toEqual(await embed('nope'));
    expect(await ask('/v1/models')).toEqual([200, '{"object":"list","data":[]}']);
  });

  it('keeps a key to its lanes', async () => {
    const [live, batch] = [await secretOf({ lanes: ['realtime'] }), await secretOf({ lanes: ['batch'] })];
    await open();
    expect([(await predict(live)).status, (await predict(batch)).status]).toEqual([200, 403]);
    const upload = (secret: string) => post('/v1/files?purpose=batch', secret, ROW, 'application/x-ndjson');
    expect([(await upload(live)).status, (await upload(batch)).status]).toEqual([403, 200]);
    expect([(await post('/v1/batches', live, '{}')).status, (await post('/v1/batches', batch, '{}')).status]).toEqual([403, 400]);
  });

  it('keeps files and batches of a tenant from others, but not from operators', async () => {
    const [a, b, operator] = [await secretOf({ tenant: 'a' }), await secretOf({ tenant: 'b' }), await secretOf({ isOperator: true })];
    await open();
    const json = async (response: Response) => (await response.json()) as { id: string; data: { id: string }[] };
    const file = await json(await post('/v1/files?purpose=batch', a, ROW, 'application/x-ndjson'));
    const request = JSON.stringify({ input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h' });
    const stranger = await post('/v1/batches', b, request);
    expect([stranger.status, await stranger.text()]).toEqual([404, expect.stringContaining('upload it first')]);
    const batch = await json(await post('/v1/batches', a, request));
    const paths = [`/v1/files/${file.id}`, `/v1/files/${file.id}/content`, `/v1/batches/${batch.id}`];
    const statuses = async (secret: string) => Promise.all(paths.map(async (where) => (await get(where, bearer(secret))).status));
    expect([await statuses(a), await statuses(b), await statuses(operator)]).toEqual([
      [200, 200, 200],
      [404, 404, 404],
      [200, 200, 200],
    ]);
    const listed = async (secret: string) =>
      Promise.all(['/v1/files', '/v1/batches'].map(async (where) => (await json(await get(where, bearer(secret)))).data.length));
    expect([await listed(a), await listed(b), await listed(operator)]).toEqual([
      [1, 1],
      [0, 0],
      [1, 1],
    ]);
    expect((await post(`/v1/batches/${batch.id}/cancel`, b, '{}')).status).toBe(404);
    expect((await get(`/v1/files/${file.id}`, bearer(b), { method: 'DELETE' })).status).toBe(404);
    expect((await post(`/v1/batches/${batch.id}/cancel`, a, '{}')).status).toBe(200);
  });

  it('follows the key file while it serves, and lets nobody in while that is damaged or gone', async () => {
    const { secret, record } = await key();
    const other = await secretOf();
    await open();
    expect((await predict(secret)).status).toBe(200);
    await removeKey(path(), record.id);
    await until(async () => (await predict(secret)).status === 401);
    expect((await predict(other)).status).toBe(200);
    writeFileSync(path(), '{');
    await until(async () => (await predict(other)).status === 503);
    expect([(await get('/v2/health/live')).status, (await predict('none')).status]).toEqual([200, 503]);
    rmSync(path());
    await sleep(600);
    expect((await predict('none')).status).toBe(503);
    const added = await secretOf();
    await until(async () => (await predict(added)).status === 200);
    expect((await predict(other)).status).toBe(401);
  });

  it.each(['', '{'])(
    'lets nobody in when the key file (damaged: %j) vanishes and another process takes over, until the node starts anew',
    async (text) => {
      await key();
      if (text !== '') writeFileSync(path(), text);
      await open();
      rmSync(path());
      await app.close();
      await open();
      expect((await predict('none')).status).toBe(503);
      await app.close();
      checkAccess(options.config);
      await open();
      expect((await predict('none')).status).toBe(200);
    },
  );

  it('answers a request that is in flight when its key is revoked', async () => {
    const { secret, record } = await key();
    let release: () => void = () => undefined;
    const backend = new EchoBackend();
    backend.gate = new Promise<void>((resolve) => (release = resolve));
    const { config } = options;
    options = { ...apiOn(backend), config };
    await open();
    const answer = predict(secret);
    await until(async () => backend.requests.length === 1);
    await removeKey(path(), record.id);
    await until(async () => (await get('/v1/models', bearer(secret))).status === 401);
    release();
    expect((await answer).status).toBe(200);
  });

  it('keeps nothing of ten thousand wrong keys, and says so in one line', async () => {
    await secretOf();
    await open();
    const lines: object[] = [];
    const log = { ...options.logger, warn: (line: object) => lines.push(line) } as unknown as ApiOptions['logger'];
    const access = await Access.open(options.config, log);
    const inside = () =>
      JSON.stringify(access, (name, value: unknown) =>
        name === 'config' || name === 'log' || name === 'timer' ? null : value instanceof Map ? [...value.keys()] : value,
      ).length;
    const tryKeys = (from: number) => {
      for (let i = from; i < from + 5000; i++) expect(() => access.callerOf({ apiKey: `ilk_${i}` })).toThrow('Expected a valid key');
    };
    tryKeys(10_000);
    const before = inside();
    tryKeys(20_000);
    expect([inside() - before < 16, lines.length, access.refused]).toEqual([true, 1, 10_000]);
    access.close();
    await get('/v1/models', { 'x-api-key': 'ilk_wrong' });
    const operator = await secretOf({ isOperator: true });
    await until(async () => (await get('/metrics', bearer(operator))).status === 200);
    const metrics = await (await get('/metrics', bearer(operator))).text();
    expect(metrics).toMatch(/^interleave_requests_without_valid_key_total [1-9]/m);
    expect(metrics).not.toMatch(/ilk_|key_[0-9a-f]{12}/);
  });

  describe('for browsers', () => {
    const html = { accept: 'text/html,*/*' };
    const form = (secret: string, headers: Record<string, string> = {}) =>
      get(
        '/login',
        { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        { method: 'POST', body: new URLSearchParams({ key: secret }).toString() },
      );
    async function cookieOf(secret: string): Promise<string> {
      return (await form(secret)).headers.get('set-cookie')?.split(';', 1)[0] ?? '';
    }

    it('shows a login page in place of a refusal, which lets in operators only, by a strict cookie', async () => {
      const [caller, operator] = [await secretOf(), await secretOf({ isOperator: true })];
      await open();
      for (const where of ['/dashboard', '/metrics', '/admin/queues', '/docs']) {
        const turned = await get(where, html);
        expect([turned.status, turned.headers.get('location')]).toEqual([303, '/login']);
      }
      expect((await get('/v1/models', html)).status).toBe(401);
      const page = await get('/login');
      expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'.*form-action 'self'/);
      // Or browsers would send `Origin: null`, as pages of nobody do, which is refused.
      expect(page.headers.get('referrer-policy')).toBe('same-origin');
      expect((await form(operator, { origin: 'null' })).status).toBe(403);
      for (const wrong of [caller, 'x', '']) {
        const refused = await form(wrong);
        expect([refused.status, refused.headers.get('set-cookie'), await refused.text()]).toEqual([
          401,
          null,
          expect.not.stringContaining(caller),
        ]);
      }
      const entered = await form(operator);
      expect([entered.status, entered.headers.get('location')]).toEqual([303, '/dashboard']);
      expect(entered.headers.get('set-cookie')).toMatch(
        /^interleave_session=[\w-]{43}; Max-Age=28800; Path=\/; HttpOnly; SameSite=Strict$/,
      );
      expect((await form(operator, { 'x-forwarded-proto': 'https' })).headers.get('set-cookie')).toMatch(/; Secure$/);
    });

    it('takes the cookie for pages and for nothing else, until logout', async () => {
      const operator = await secretOf({ isOperator: true });
      await open();
      const cookie = await cookieOf(operator);
      const statuses = async (headers: Record<string, string>) =>
        Promise.all(
          ['/dashboard', '/dashboard/view', '/metrics', '/docs', '/v1/models', '/v1/files'].map(
            async (where) => (await get(where, headers)).status,
          ),
        );
      expect(await statuses({ cookie })).toEqual([200, 503, 200, 200, 401, 401]);
      expect(await statuses({ cookie: `a=b; ${cookie}; c=d` })).toEqual([200, 503, 200, 200, 401, 401]);
      expect(await statuses({ cookie: `${cookie}x` })).toEqual([401, 401, 401, 401, 401, 401]);
      expect(await statuses({ cookie, ...bearer('wrong') })).toEqual([401, 401, 401, 401, 401, 401]);
      expect(await (await get('/login', { cookie })).text()).toContain('/logout');
      const left = await get('/logout', { cookie }, { method: 'POST' });
      expect([left.status, left.headers.get('set-cookie')]).toEqual([303, expect.stringContaining('Max-Age=0')]);
      expect((await get('/dashboard', { cookie })).status).toBe(401);
    });

    it('ends a session with its key', async () => {
      const { secret, record } = await key({ isOperator: true });
      await secretOf();
      await open();
      const cookie = await cookieOf(secret);
      expect((await get('/dashboard', { cookie })).status).toBe(200);
      await removeKey(path(), record.id);
      await until(async () => (await get('/dashboard', { cookie })).status === 401);
    });

    it('takes no login from pages of other sites, nor one that is large or of unknown length', async () => {
      const operator = await secretOf({ isOperator: true });
      await open();
      expect((await form(operator, { origin: 'http://evil.example' })).status).toBe(403);
      expect((await form(operator, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
      expect((await form('x'.repeat(5000))).status).toBe(413);
      const stream = new Blob(['key=x']).stream();
      const chunked = await get('/login', { 'content-type': 'application/x-www-form-urlencoded' }, {
        method: 'POST',
        body: stream,
        duplex: 'half',
      } as RequestInit);
      expect(chunked.status).toBe(413);
      expect((await get('/login', { 'content-type': 'text/plain' }, { method: 'POST', body: 'key=x' })).status).toBe(415);
    });

    it('lets an address wait after ten wrong keys', async () => {
      const operator = await secretOf({ isOperator: true });
      await open();
      for (let i = 0; i < 10; i++) expect((await form('x')).status).toBe(401);
      const refused = await form(operator);
      expect([refused.status, Number(refused.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
      expect((await get('/dashboard', bearer(operator))).status).toBe(200);
    });
  });
});
