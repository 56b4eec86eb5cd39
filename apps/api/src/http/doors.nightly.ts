import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { promisify } from 'node:util';
import type { Config } from '@app/config';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ANONYMOUS } from '../access/caller';
import { Preparation } from '../admission/preparation';
import { Certificates } from '../../../../test/support/certificates';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

const PREDICT = '/v1/models/echo:predict';
const BODY = '{"instances":[{"x":[1,2]}]}';
const ORIGIN = 'http://localhost:3000';

describe.each(['HTTP', 'HTTP over TLS'])('what may come in over %s', (transport) => {
  let backend: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let port: number;
  let certificates: Certificates | null = null;

  beforeAll(() => {
    if (transport === 'HTTP') return;
    certificates = new Certificates();
    certificates.put(certificates.paths(), certificates.selfSigned('node'));
  });
  afterAll(() => certificates?.remove());

  async function open(http: Partial<Config['http']> = {}): Promise<void> {
    backend = new EchoBackend();
    const base = apiOn(backend, { queueItemsMax: 8 });
    options = { ...base, config: { ...base.config, http: { ...base.config.http, ...http }, tls: certificates?.paths() ?? null } };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    port = Number(new URL(await app.getUrl()).port);
  }
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  /** `raw`: the connection below TLS. */
  function call(): { socket: Socket; raw: Socket } {
    const raw = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    if (certificates === null) return { socket: raw, raw };
    return { socket: connectTls({ socket: raw, rejectUnauthorized: false, allowHalfOpen: true } as ConnectionOptions), raw };
  }

  /** Sends the bytes, and only then reads until the other side ends the connection. `halfClose`: says that nothing more comes. */
  async function exchange(request: string | Buffer, { halfClose = false } = {}): Promise<string> {
    const { socket } = call();
    await new Promise<void>((resolve, reject) => socket.once('error', reject).write(request, () => resolve()));
    if (halfClose) socket.end();
    let text = '';
    for await (const part of socket.setEncoding('utf8')) text += String(part);
    socket.destroy();
    return text;
  }

  function head(method: string, path: string, headers: Record<string, string> = {}, body = ''): string {
    const all = {
      host: 'localhost',
      connection: 'close',
      ...(body && { 'content-type': 'application/json', 'content-length': String(body.length) }),
      ...headers,
    };
    const lines = Object.entries(all)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}: ${value}`);
    return `${[`${method} ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n${body}`;
  }

  const statusOf = async (...request: Parameters<typeof head>): Promise<number> => Number((await exchange(head(...request))).slice(9, 12));

  describe('by name', () => {
    it.each(['localhost', 'LOCALHOST:8080', 'localhost.', '127.0.0.1:9', '127.0.0.1', '[::1]:8080', 'app.localhost', 'models.example.com'])(
      'answers to %s',
      async (host) => {
        await open({ allowedHosts: ['models.example.com'] });
        expect(await statusOf('GET', '/v2/health/live', { host })).toBe(200);
      },
    );

    it.each([
      'evil.example',
      'evil.example:8080',
      'localhost.evil.example',
      'example.com',
      'x@localhost',
      '127.0.0.1.evil.example',
      '10.0.0.1',
    ])('refuses %s', async (host) => {
      await open({ allowedHosts: ['models.example.com'] });
      const answer = await exchange(head('GET', '/metrics', { host }));
      expect(answer).toMatch(/^HTTP\/1.1 403 [\s\S]*http\.allowedHosts/);
    });

    it.each(['/dashboard', '/admin/queues', '/docs', '/v1/files', '/nowhere'])('refuses a foreign name at %s', async (path) => {
      await open();
      expect(await statusOf('GET', path, { host: 'evil.example' })).toBe(403);
    });
  });

  describe('from browsers', () => {
    it.each([
      [{ origin: 'http://evil.example' }],
      [{ origin: 'null' }],
      [{ origin: ORIGIN }],
      [{ origin: 'http://localhost.evil.example' }],
      [{ 'sec-fetch-site': 'cross-site' }],
      [{ 'sec-fetch-site': 'same-site' }],
      [{ origin: 'http://evil.example', 'content-type': 'text/plain' }],
      [{ origin: 'http://evil.example', 'content-type': '' }],
    ])('refuses a write with %j', async (headers) => {
      await open();
      for (const path of [PREDICT, '/v1/files', '/v1/batches', '/admin/queues/api/queues/pause'])
        expect(await statusOf('POST', path, headers as never, BODY)).toBe(403);
      expect(await statusOf('DELETE', '/v1/files/file-1', headers as never)).toBe(403);
      expect(backend.requests).toEqual([]);
    });

    it.each([
      [{ host: 'localhost:8080', origin: 'http://localhost:8080', 'sec-fetch-site': 'same-origin' }],
      [{ host: 'localhost', origin: 'https://localhost' }],
      [{ 'sec-fetch-site': 'none' }],
      [{}],
    ])('takes a write with %j', async (headers) => {
      await open();
      expect(await statusOf('POST', PREDICT, headers as never, BODY)).toBe(200);
    });

    it('lets pages of an allowed origin in, and their scripts read answers and refusals', async () => {
      await open({ allowedOrigins: [ORIGIN] });
      const asks = { origin: ORIGIN, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
      expect(await exchange(head('OPTIONS', '/v1/embeddings', asks))).toMatch(
        /^HTTP\/1.1 204 [\s\S]*access-control-allow-origin: http:\/\/localhost:3000\r\n[\s\S]*access-control-allow-headers: content-type/i,
      );
      expect(await exchange(head('POST', PREDICT, { origin: ORIGIN, 'sec-fetch-site': 'same-site' }, BODY))).toMatch(
        /^HTTP\/1.1 200 [\s\S]*access-control-allow-origin: http:\/\/localhost:3000/i,
      );
      expect(await exchange(head('POST', PREDICT, { origin: ORIGIN }, '{'))).toMatch(
        /^HTTP\/1.1 400 [\s\S]*access-control-allow-origin: http:\/\/localhost:3000/i,
      );
      expect(await statusOf('OPTIONS', '/v1/embeddings', { ...asks, origin: 'http://evil.example' })).toBe(403);
      expect(await exchange(head('GET', '/v1/models', { origin: 'http://evil.example' }))).not.toMatch(/access-control/i);
    });

    it('takes what curl sends without a content type, on live routes', async () => {
      await open();
      const form = { 'content-type': 'application/x-www-form-urlencoded' };
      expect(await statusOf('POST', PREDICT, form, BODY)).toBe(200);
      expect(await statusOf('POST', '/v1/batches', form, '{}')).toBe(415);
      expect(await statusOf('POST', PREDICT, { ...form, origin: 'http://evil.example' }, BODY)).toBe(403);
    });
  });

  describe('what browsers are told', () => {
    const TOLD = [
      'x-content-type-options: nosniff',
      'x-frame-options: DENY',
      'cache-control: no-store',
      'cross-origin-opener-policy: same-origin',
      'cross-origin-resource-policy: same-origin',
    ];

    it('keeps pages to this site', async () => {
      await open();
      for (const path of ['/dashboard', '/docs', '/admin/queues', '/docs-json']) {
        const answer = (await exchange(head('GET', path))).toLowerCase();
        for (const header of TOLD) expect(answer).toContain(`\r\n${header.toLowerCase()}\r\n`);
        expect(answer).toMatch(
          /\r\ncontent-security-policy: default-src '(?:none|self)';.* frame-ancestors 'none'; form-action 'none'\r\n/,
        );
        expect(answer).toMatch(/\r\nreferrer-policy: no-referrer\r\n/);
      }
    });

    it('calls by TLS only, where there is TLS, but not on names that other servers have too', async () => {
      await open({ allowedHosts: ['models.example.com'] });
      const told = async (...request: Parameters<typeof head>): Promise<string | undefined> =>
        /\r\nstrict-transport-security: (.*)\r\n/i.exec(await exchange(head(...request)))?.[1];
      const expected = transport === 'HTTP' ? undefined : 'max-age=31536000';
      const host = 'models.example.com';
      expect(await told('GET', '/v2/health/live', { host })).toBe(expected);
      expect(await told('POST', PREDICT, { host: `${host}:8080` }, BODY)).toBe(expected);
      expect(await told('POST', '/nowhere', { host }, BODY)).toBe(expected);
      expect(await told('GET', '/dashboard', { host: 'evil.example' })).toBe(expected);
      for (const loopback of ['localhost:8080', 'app.localhost', '127.0.0.1', '[::1]:8080'])
        expect(await told('GET', '/dashboard', { host: loopback })).toBeUndefined();
    });
  });

  it.each(['//v1/models', '/v1/models/', '/v1//models//', '/v1/models/?a=//b', '/v2/models/echo/', '//v2/health/live/'])(
    'answers GET %s',
    async (path) => {
      await open();
      expect(await statusOf('GET', path)).toBe(200);
    },
  );

  it('answers POST to a path with extra slashes', async () => {
    await open();
    expect(await statusOf('POST', `/${PREDICT}/`, {}, BODY)).toBe(200);
  });

  it('lets nobody change queues on the board', async () => {
    await open();
    for (const path of ['/admin/queues/api/queues/pause', '/admin/queues/api/queues/q/clean/failed'])
      expect(await statusOf('PUT', path)).toBe(403);
  });

  describe('a caller that closes its side', () => {
    it('gets the answer', async () => {
      await open();
      expect(await exchange(head('POST', PREDICT, { connection: 'keep-alive' }, BODY), { halfClose: true })).toMatch(/^HTTP\/1.1 200 /);
    });

    it('gets an answer that takes its time', async () => {
      await open();
      let release = (): void => undefined;
      backend.gate = new Promise<void>((resolve) => (release = resolve));
      const answer = exchange(head('POST', PREDICT, {}, BODY), { halfClose: true });
      setTimeout(() => release(), 300);
      expect(await answer).toMatch(/^(?:HTTP\/1.1 100 Continue\r\n\r\n){2}HTTP\/1.1 200 /);
    });

    it('is told from one that has gone', async () => {
      await open();
      backend.gate = new Promise(() => undefined);
      const { socket } = call();
      socket.write(head('POST', PREDICT, {}, BODY));
      while (backend.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      socket.destroy();
      while (backend.requests[0]?.signal?.aborted !== true) await new Promise((resolve) => setTimeout(resolve, 5));
    });
  });

  describe('a caller that does not wait for answers', () => {
    it('is cut off after 64 requests', async () => {
      await open();
      backend.gate = new Promise(() => undefined);
      const keep = head('POST', PREDICT, { connection: 'keep-alive' }, BODY);
      expect(await exchange(keep.repeat(100)).catch((error: NodeJS.ErrnoException) => error.code)).toMatch(/^$|ECONNRESET/);
    });

    it('leaves nothing behind when it goes', async () => {
      await open({ bodyBytesMax: 1000 });
      const large = BODY.replace('{', `{${' '.repeat(900)}`);
      let release = (): void => undefined;
      backend.gate = new Promise<void>((resolve) => (release = resolve));
      for (let i = 0; i < 2; i++) {
        const { socket, raw } = call();
        socket.on('error', () => undefined);
        socket.write(head('POST', PREDICT, { connection: 'keep-alive' }, large).repeat(4));
        while (backend.requests.length < 4 * (i + 1)) await new Promise((resolve) => setTimeout(resolve, 5));
        raw.resetAndDestroy();
        while ((await promisify(app.getHttpServer().getConnections.bind(app.getHttpServer()))()) > 0)
          await new Promise((resolve) => setTimeout(resolve, 5));
      }
      release();
      expect(await statusOf('POST', PREDICT, {}, large)).toBe(200);
    });
  });

  it('counts what is being prepared before a large body is read, and again when it is there; small ones pass', async () => {
    await open();
    backend.unreadNs = 5e9;
    const large = BODY.replace('{', `{${' '.repeat(10_000)}`);
    expect(await statusOf('POST', PREDICT, {}, large)).toBe(200);
    expect(backend.unread).toEqual(
      Array(2).fill({
        model: 'echo',
        share: ANONYMOUS,
        version: '1',
        revision: 1,
        timeoutMs: options.config.realtime.timeoutMs,
        bodyBytes: large.length,
        aheadNs: 0,
        itemsAhead: 0,
      }),
    );
    const preparation = app.get(Preparation);
    const others = preparation.enter('other', 1, 3e9);
    await statusOf('POST', PREDICT, {}, large);
    await statusOf('POST', PREDICT, {}, BODY);
    preparation.leave(others, null);
    expect(backend.unread.slice(2).map(({ aheadNs }) => aheadNs)).toEqual([3e9, 3e9, 0, 0]);
    expect(preparation.ahead()).toEqual({ waitMs: 0, items: 0, workNs: 0 });
    expect(backend.requests.map(({ bodyBytes }) => bodyBytes)).toEqual([large.length, large.length, BODY.length]);
  });

  it('refuses without reading once as many as may be are prepared', async () => {
    await open({ preparingRequestsMax: 1 });
    const other = app.get(Preparation).enter('other', 1, 0);
    const { socket } = call();
    socket.write(head('POST', PREDICT, { 'content-type': 'application/json', 'content-length': '1000' }));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 429 [\s\S]*retry-after: 1/i);
    socket.destroy();
    app.get(Preparation).leave(other, null);
    expect(await statusOf('POST', PREDICT, {}, BODY)).toBe(200);
  });

  it.each([
    ['JSON', {}, 413],
    ['binary tensors', { 'inference-header-content-length': '2' }, 400],
  ])('limits the bytes of %s', async (_what, headers, status) => {
    await open({ jsonBytesMax: 100 });
    expect(await statusOf('POST', '/v2/models/echo/infer', headers as never, `{}${' '.repeat(200)}`)).toBe(status);
  });

  describe('a refusal before the body', () => {
    const bytes = 20_000_000;

    it.each([
      ['an unknown path', '/nowhere', {}, 404],
      ['another origin', PREDICT, { origin: 'http://evil.example' }, 403],
      ['a media type', PREDICT, { 'content-type': 'text/plain' }, 415],
      ['an encoding', PREDICT, { 'content-encoding': 'br' }, 415],
      ['an unknown model', '/v1/models/none:predict', {}, 404],
      ['the encoding of an upload', '/v1/files?purpose=batch', { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }, 415],
    ])('for %s reaches a caller that sends everything first', async (_what, path, headers, status) => {
      await open();
      const request = head('POST', path, { 'content-type': 'application/json', 'content-length': String(bytes), ...(headers as object) });
      expect(await exchange(Buffer.concat([Buffer.from(request), Buffer.alloc(bytes, ' ')]))).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    });

    it('comes for a body in an encoding within the chunks', async () => {
      await open();
      const request = head('POST', PREDICT, { 'content-type': 'application/json', 'transfer-encoding': 'gzip, chunked' });
      expect(await exchange(`${request}${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`)).toMatch(
        /^HTTP\/1.1 415 [\s\S]*Transfer-Encoding/,
      );
    });

    it('leaves the connection usable', async () => {
      await open();
      const first = head('POST', '/nowhere', { connection: 'keep-alive' }, BODY);
      expect(await exchange(first + head('GET', '/v2/health/live'))).toMatch(/^HTTP\/1.1 404 [\s\S]*HTTP\/1.1 200 /);
    });

    it('comes instead of the call for a body that is held back', async () => {
      await open();
      const held = { expect: '100-continue', 'content-type': 'application/json', 'content-length': String(BODY.length) };
      expect(await exchange(head('POST', '/nowhere', held))).toMatch(/^HTTP\/1.1 404 /);
      expect(await exchange(head('POST', PREDICT, { ...held, 'content-length': '9000000' }))).toMatch(/^HTTP\/1.1 413 /);
      expect(await exchange(head('POST', PREDICT, held) + BODY)).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /);
    });
  });
});
