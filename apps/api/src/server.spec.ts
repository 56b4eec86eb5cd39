import { rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { InterleaveError } from '@app/contracts';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Lifecycle } from './lifecycle';
import { createServer, type ApiOptions } from './server';
import { DocumentedAnswers } from './testing/documented-answers';
import { apiOn, EchoBackend } from './testing/fakes';

/** A body for the model `echo` with so many instances. */
const instances = (count: number): string => JSON.stringify({ instances: Array.from({ length: count }, (_, i) => ({ x: [i, 0.5] })) });
const PREDICT = '/v1/models/echo:predict';

describe('the HTTP server', () => {
  const answers = new DocumentedAnswers();
  let backend: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let port: number;

  beforeEach(async () => {
    backend = new EchoBackend();
    options = apiOn(backend, { queueItemsMax: 8 });
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    port = Number(new URL(url).port);
    answers.watch();
  });
  afterEach(async () => {
    expect(await answers.faults()).toEqual([]);
  });
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  const post = (path: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(url + path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

  it.each([PREDICT, '/v1/models/echo%3Apredict', '/v1/models/echo/versions/1:predict'])('answers POST %s', async (path) => {
    const response = await post(path, instances(2), { 'x-request-id': 'mine-1' });
    expect([response.status, await response.json()]).toEqual([
      200,
      {
        predictions: [
          [0, 0.5],
          [1, 0.5],
        ],
      },
    ]);
    expect(response.headers.get('x-request-id')).toBe('mine-1');
    expect(response.headers.get('server-timing')).toMatch(
      /^accept;dur=[\d.]+, admit;dur=[\d.]+, tokenize;.*coalesce;dur=0.15, run;dur=2.5;desc="3 rows", respond;dur=[\d.]+$/,
    );
  });

  it('closes connections past the limit, and takes others once there is room', async () => {
    await app.close();
    app = await createServer({
      ...options,
      config: { ...options.config, http: { ...options.config.http, connectionsMax: 2 } },
    });
    await app.listen(0, '127.0.0.1');
    const limitedPort = Number(new URL(await app.getUrl()).port);
    const open = (): Promise<Socket> =>
      new Promise((resolve) => {
        const socket = connect(limitedPort, '127.0.0.1', () => resolve(socket)).on('error', () => undefined);
      });
    const held = [await open(), await open()];
    const third = await open();
    await new Promise((resolve) => third.once('close', resolve));
    held[0]?.destroy();
    const answered = async (): Promise<boolean> => {
      const socket = await open();
      socket.write('GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n');
      const hasData = await new Promise<boolean>((resolve) => socket.once('data', () => resolve(true)).once('close', () => resolve(false)));
      socket.destroy();
      return hasData;
    };
    while (!(await answered())) await new Promise((resolve) => setImmediate(resolve));
    held[1]?.destroy();
  });

  it.each(['/v2/models/echo/infer', '/v2/models/echo/versions/1/infer'])('answers POST %s', async (path) => {
    const response = await post(path, JSON.stringify({ id: 'a', inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] }));
    expect([response.status, await response.json()]).toEqual([
      200,
      { id: 'a', model_name: 'echo', model_version: '1', outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] },
    ]);
  });

  it.each([
    ['POST', '/v2/models/echo/trace/setting'],
    ['POST', '/v2/models/echo/generate_stream'],
    ['POST', '/v2/cudasharedmemory/region/r/register'],
    ['GET', '/v2/trace/setting'],
    ['POST', '/v2/logging'],
  ])("says that %s %s, of Triton's extensions, is not there", async (method, path) => {
    const response = await fetch(url + path, { method, ...(method === 'POST' && { body: '{}' }) });
    expect([response.status, await response.json()]).toEqual([
      501,
      { error: expect.stringMatching(/is an extension of Triton that this version does not have/) as string },
    ]);
  });

  it('has a model that is called as an extension is', async () => {
    backend.report(backend.reports.map((report) => ({ ...report, name: 'stats' })));
    const response = await fetch(`${url}/v2/models/stats/versions/1`);
    expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ name: 'stats' })]);
  });

  it.each([
    '/v1/models/org/echo:predict',
    '/v1/models/org%2Fecho:predict',
    '/v1/models/org/echo/versions/1:predict',
    '/v1/models/org%2Fecho/versions/1:predict',
  ])('answers POST %s, a model of an organisation', async (path) => {
    backend.report(backend.reports.map((report) => ({ ...report, name: 'org/echo' })));
    const response = await post(path, instances(1));
    expect([response.status, await response.json()]).toEqual([200, { predictions: [[0, 0.5]] }]);
  });

  it.each([
    '/v1/models/org/echo',
    '/v1/models/org%2Fecho',
    '/v2/models/org/echo',
    '/v2/models/org%2Fecho/versions/1',
    '/v2/models/org/echo/ready',
    '/v2/models/org/echo/versions/1/ready?a=b/c',
  ])('answers GET %s', async (path) => {
    backend.report(backend.reports.map((report) => ({ ...report, name: 'org/echo' })));
    const response = await fetch(url + path);
    expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ name: 'org/echo' })]);
  });

  it.each([{ 'content-type': 'application/octet-stream' }, {}])('takes and gives binary tensors, with headers %j', async (headers) => {
    const tensor = Buffer.from(new Float32Array([1.5, -2]).buffer);
    const json = Buffer.from(
      JSON.stringify({
        inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }],
        parameters: { binary_data_output: true },
      }),
    );
    const body = new Blob([json, tensor]);
    const response = await fetch(`${url}/v2/models/echo/infer`, {
      method: 'POST',
      body,
      headers: { ...headers, 'inference-header-content-length': String(json.length) } as never,
    });
    const answer = Buffer.from(await response.arrayBuffer());
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(answer.subarray(Number(response.headers.get('inference-header-content-length')))).toEqual(tensor);
  });

  it('makes up a request id when the given one is not usable', async () => {
    const response = await post(PREDICT, instances(1), { 'x-request-id': 'x'.repeat(200) });
    expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-f-]{36}$/);
  });

  it.each([
    ['/v1/embeddings', 'openai'],
    ['/v2/models/echo/infer', 'flat'],
    ['/v1/models/echo:predict', 'flat'],
  ])('refuses other content types at %s in the shape of the protocol', async (path, shape) => {
    const response = await post(path, 'x', { 'content-type': 'text/plain' });
    expect(response.status).toBe(415);
    const { error } = (await response.json()) as { error: unknown };
    if (shape === 'flat') expect(error).toMatch(/application\/json/);
    else
      expect(error).toEqual({
        message: expect.stringMatching(/application\/json/),
        type: 'invalid_request_error',
        param: null,
        code: 'unsupported_media_type',
      });
  });

  it('refuses bodies in encodings that it does not know', async () => {
    expect((await post('/v1/embeddings', 'x', { 'content-encoding': 'br' })).status).toBe(415);
  });

  it.each([
    ['GET', '/nope', 404],
    ['GET', '/v1/embeddings', 405],
    ['DELETE', '/v1/models/echo', 405],
    ['GET', '/v2/models/echo/infer', 405],
    ['GET', '/v1/models/%ZZ', 400],
    ['GET', '/v1/models/nope', 404],
    ['GET', '/v2/models/nope', 404],
    ['GET', '/v2/models/nope/ready', 404],
    ['GET', `/v1/models/${'x'.repeat(300)}`, 404],
    ['GET', '/v1/models/..%2F..%2Fetc%2Fpasswd', 404],
  ])('%s %s is %i with an error body', async (method, path, status) => {
    const response = await fetch(url + path, { method });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: expect.anything() });
    if (status === 405) expect(response.headers.get('allow')).toMatch(/POST|GET/);
  });

  it.each(['PUT', 'PATCH', 'DELETE'])('reads no body of %s, whatever its type', async (method) => {
    const response = await fetch(`${url}/v1/batches`, { method, body: '{ broken', headers: { 'content-type': 'application/json' } });
    expect(response.status).toBe(405);
  });

  it('hides what it did not expect', async () => {
    backend.refusal = new TypeError('secret detail') as never;
    const response = await post(PREDICT, instances(1));
    expect(response.status).toBe(500);
    expect(await response.text()).not.toMatch(/secret|\.ts/);
  });

  it.each([
    ['x-interleave-timeout-ms', '0'],
    ['x-interleave-timeout-ms', '-1'],
    ['x-interleave-timeout-ms', '1e3'],
    ['x-interleave-priority', 'high'],
  ])('refuses %s: %s', async (name, value) => {
    const response = await post(PREDICT, instances(1), { [name]: value });
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(name)]);
  });

  it('hands deadline and priority to the backend, less the time already spent', async () => {
    await post(PREDICT, instances(1), { 'x-interleave-timeout-ms': '5000', 'x-interleave-priority': '3' });
    const { timeoutMs, priority } = backend.requests[0] ?? {};
    expect(priority).toBe(3);
    expect(timeoutMs).toBeGreaterThan(0);
    expect(timeoutMs).toBeLessThan(5000);
  });

  it('answers 429 before it reads the body when the deadline is out of reach', async () => {
    backend.refusalAhead = new InterleaveError('overloaded', 'too late', { retryAfterSeconds: 7 });
    const socket = connect(port, '127.0.0.1');
    socket.write(`POST ${PREDICT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n`);
    expect(await firstData(socket)).toMatch(/^HTTP\/1.1 429 [\s\S]*retry-after: 7/i);
    socket.destroy();
    expect(backend.requests).toEqual([]);
  });

  it.each<[string, Record<string, string>, object, number, number]>([
    ['of the model', {}, {}, 2000, 3000],
    ['of the header', { 'x-interleave-timeout-ms': '9000' }, {}, 8000, 9000],
    ['of the parameter', {}, { timeout: 7_000_000 }, 6000, 7000],
  ])('takes the deadline %s', async (_what, headers, parameters, min, max) => {
    backend.modelTimeoutMs = 3000;
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }];
    await post('/v2/models/echo/infer', JSON.stringify({ inputs, parameters }), headers);
    const { timeoutMs } = backend.requests[0] ?? {};
    expect(timeoutMs).toBeGreaterThan(min);
    expect(timeoutMs).toBeLessThan(max);
  });

  it("takes the model's deadline for task-level requests, and the node's where the model has none", async () => {
    backend.modelTimeoutMs = 3000;
    await post(PREDICT, instances(1));
    backend.modelTimeoutMs = null;
    await post(PREDICT, instances(1));
    const timeouts = backend.requests.map(({ timeoutMs }) => Math.ceil((timeoutMs ?? 0) / 1000));
    expect(timeouts).toEqual([3, options.config.realtime.timeoutMs / 1000]);
  });

  it('answers 429 with Retry-After while the queue is full, before it reads the body, and recovers', async () => {
    let open = (): void => undefined;
    backend.gate = new Promise<void>((resolve) => (open = resolve));
    const waiting = post(PREDICT, instances(8));
    await until(() => backend.requests.length === 1);
    const socket = connect(port, '127.0.0.1');
    socket.write('POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{');
    expect(await firstData(socket)).toMatch(/^HTTP\/1.1 429 [\s\S]*retry-after: \d+/i);
    socket.destroy();
    open();
    expect((await waiting).status).toBe(200);
    expect((await post(PREDICT, instances(8))).status).toBe(200);
  });

  it('refuses more items than can ever be in flight with 413', async () => {
    expect((await post(PREDICT, instances(9))).status).toBe(413);
  });

  it('gives up the items of a caller that hangs up', async () => {
    backend.gate = new Promise(() => undefined);
    const controller = new AbortController();
    const given = fetch(url + PREDICT, {
      method: 'POST',
      body: instances(8),
      headers: { 'content-type': 'application/json' },
      signal: controller.signal,
    }).catch(() => 'gone');
    await until(() => backend.requests.length === 1);
    controller.abort();
    expect(await given).toBe('gone');
    await until(() => backend.requests[0]?.signal?.aborted === true);
    backend.gate = Promise.resolve();
    await until(async () => (await post(PREDICT, instances(8))).status === 200);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/interleave_requests_total\{[^}]*status="499"[^}]*\} 1/);
  });

  it('says 413 to an announced size over the limit without reading it', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write(
      'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n',
    );
    expect(await firstData(socket)).toMatch(/^HTTP\/1.1 413 [\s\S]*"code":"too_large"/);
    socket.destroy();
  });

  it('says 413 to a chunked body that grows over the limit', async () => {
    const socket = connect(port, '127.0.0.1');
    const answer = firstData(socket);
    socket.write('POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000, 'x'), Buffer.from('\r\n')]);
    for (let sent = 0; sent <= 64; sent++) await new Promise((resolve) => socket.write(chunk, resolve));
    expect(await answer).toMatch(/^HTTP\/1.1 413 [\s\S]*connection: close/i);
  });

  it('answers what is not HTTP with 400 and closes', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write('nonsense\r\n\r\n');
    expect(await firstData(socket)).toMatch(/^HTTP\/1.1 400 [\s\S]*\{"error":/);
  });

  it('answers 431 to headers over the limit', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write(`GET /v2 HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(await firstData(socket)).toMatch(/^HTTP\/1.1 431 /);
  });

  it('answers health, metadata and models', async () => {
    expect(await json('/v2/health/live')).toEqual([200, { live: true }]);
    expect(await json('/v2/health/ready')).toEqual([200, { live: true, ready: true }]);
    expect(await json('/v2')).toEqual([
      200,
      expect.objectContaining({ name: 'interleave', extensions: expect.arrayContaining(['binary_tensor_data']) as unknown }),
    ]);
    expect(await json('/v2/models/echo/ready')).toEqual([200, { name: 'echo', ready: true }]);
    expect(await json('/v2/models/echo')).toEqual([
      200,
      {
        name: 'echo',
        versions: ['1'],
        platform: 'onnx_onnxv1',
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
        parameters: { merging_realtime: 'merged (padded)' },
      },
    ]);
    const versions = [{ version: '1', state: 'ready', reason: null, merging: 'merged (padded)' }];
    expect(await json('/v1/models/echo')).toEqual([
      200,
      expect.objectContaining({ id: 'echo', object: 'model', name: 'echo', ready: true, versions }),
    ]);
  });

  it('is not ready while a model loads, when all have failed, and while draining', async () => {
    const [report] = backend.reports as [(typeof backend.reports)[0]];
    backend.report([{ ...report, state: 'loading', signature: null }]);
    expect(await json('/v2/health/ready')).toEqual([503, { live: false, ready: false, reason: 'loading: echo/1' }]);
    backend.report([{ ...report, state: 'failed', signature: null, reason: 'broken graph' }]);
    expect(await json('/v2/health/ready')).toEqual([503, { live: false, ready: false, reason: 'no model is ready' }]);
    expect(await json('/v2/models/echo/ready')).toEqual([503, { name: 'echo', ready: false, reason: 'broken graph' }]);
    backend.report([report]);
    app.get(Lifecycle).drain();
    expect(await json('/v2/health/ready')).toEqual([503, { live: false, ready: false, reason: 'shutting down' }]);
  });

  it('answers after notice as before, on connections that end, and refuses once it ends', async () => {
    const lifecycle = app.get(Lifecycle);
    lifecycle.drain();
    const noticed = await post(PREDICT, instances(1));
    expect([noticed.status, noticed.headers.get('connection')]).toEqual([200, 'close']);
    lifecycle.end();
    const refused = await post(PREDICT, instances(1));
    expect([refused.status, refused.headers.get('connection'), refused.headers.get('retry-after')]).toEqual([503, 'close', '1']);
    expect((await json('/v2/health/live'))[0]).toBe(200);
  });

  it('answers on open connections when it ends without notice: the next process is there', async () => {
    app.get(Lifecycle).end();
    expect((await post(PREDICT, instances(1))).status).toBe(200);
  });

  it('lets requests in flight finish when it closes', async () => {
    let open = (): void => undefined;
    backend.gate = new Promise<void>((resolve) => (open = resolve));
    const waiting = post(PREDICT, instances(1));
    await until(() => backend.requests.length === 1);
    const closed = app.close();
    open();
    expect((await waiting).status).toBe(200);
    await closed;
  });

  it('counts requests by endpoint, model and status, and goes on without processes that do not answer', async () => {
    await post(PREDICT, instances(1));
    await post('/v1/embeddings', 'broken');
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toMatch(/interleave_requests_total\{lane="realtime",model="echo",endpoint="predict",status="200"\} 1/);
    expect(text).toMatch(/interleave_requests_total\{lane="realtime",model="",endpoint="embeddings",status="400"\} 1/);
    expect(text).toMatch(/interleave_metrics_missed_total\{process="scheduler"\} 1/);
    expect(text).toMatch(/interleave_stage_seconds_count\{stage="run"\} 1/);
  });

  it('tells metrics as OpenMetrics to whom asks for it, and as text to others', async () => {
    const [text, open] = await Promise.all(
      ['*/*', 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5'].map(async (accept) => {
        const response = await fetch(`${url}/metrics`, { headers: { accept } });
        return [response.headers.get('content-type'), await response.text()] as const;
      }),
    );
    expect(text?.[0]).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(text?.[1]).not.toContain('# EOF');
    expect(open?.[0]).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(open?.[1].endsWith('\n# EOF\n')).toBe(true);
  });

  async function json(path: string): Promise<[number, unknown]> {
    const response = await fetch(url + path);
    return [response.status, await response.json()];
  }
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

function firstData(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('data', (part: Buffer) => {
      text += part.toString();
      if (text.includes('}')) resolve(text);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}
