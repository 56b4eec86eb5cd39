import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect as http2Connect } from 'node:http2';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { runPaths } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { serveProcessStatus } from '@app/process';
import * as grpc from '@grpc/grpc-js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { LiveMetrics } from '../metrics/live-metrics';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { healthService, inferenceService } from './definitions';
import { GrpcServer } from './grpc-server';

const BODY_BYTES_MAX = 1024 * 1024;
const GZIP = { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip };
const row = Buffer.from(Float32Array.of(1, 2).buffer);
const request = (own: object = {}): object => ({
  model_name: 'echo',
  id: 'a',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }],
  raw_input_contents: [row],
  ...own,
});

interface Answer {
  id: string;
  raw_output_contents: Buffer[];
}
interface StreamAnswer {
  error_message: string;
  infer_response: Answer | null;
}
interface Failure {
  code: grpc.status;
  details: string;
  metadata: grpc.Metadata;
}
type Client = grpc.Client & Record<string, (...args: unknown[]) => grpc.ClientUnaryCall & grpc.ClientDuplexStream<object, StreamAnswer>>;

describe('gRPC', () => {
  let backend: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let address: string;
  let client: Client;
  let health: Client;

  beforeEach(async () => {
    backend = new EchoBackend();
    options = apiOn(backend, { queueItemsMax: 8 });
    options = { ...options, config: { ...options.config, http: { ...options.config.http, bodyBytesMax: BODY_BYTES_MAX } } };
    app = await createServer(options);
    await app.get(GrpcServer).listen({ port: 0, host: '127.0.0.1' });
    address = app.get(GrpcServer).address() as string;
    client = clientOf(inferenceService());
    health = clientOf(healthService());
  });
  afterEach(async () => {
    client.close();
    health.close();
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  function clientOf(service: grpc.ServiceDefinition, channelOptions: object = {}): Client {
    const Made = grpc.makeClientConstructor(service, 'service');
    return new Made(address, grpc.credentials.createInsecure(), {
      'grpc.max_send_message_length': -1,
      ...channelOptions,
    }) as unknown as Client;
  }

  const metadataOf = (values: Record<string, string>): grpc.Metadata => {
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(values)) metadata.set(name, value);
    return metadata;
  };

  /** The answer, with the trailing metadata; rejects with the status. */
  function ask<T = Answer>(method: string, body: object, metadata: Record<string, string> = {}, callOptions: object = {}, by = client) {
    return new Promise<[T, grpc.Metadata]>((resolve, reject) => {
      let answer: T;
      const call = (by[method] as Client[string]).call(by, body, metadataOf(metadata), callOptions, (error: Error | null, value: T) => {
        if (error) reject(error);
        else answer = value;
      });
      call.once('status', ({ code, metadata: trailers }) => code === grpc.status.OK && setImmediate(() => resolve([answer, trailers])));
    });
  }
  const failure = (asked: Promise<unknown>): Promise<Failure> =>
    asked.then(
      () => Promise.reject(new Error('it was answered')),
      (error: Failure) => error,
    );
  const running = async (): Promise<void> => {
    while (backend.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('answers ModelInfer, with notes and the request id as trailing metadata', async () => {
    const [answer, trailers] = await ask('ModelInfer', request(), { 'x-request-id': 'mine-1', 'x-interleave-priority': '3' });
    expect([answer.id, answer.raw_output_contents]).toEqual(['a', [row]]);
    expect(trailers.get('x-request-id')).toEqual(['mine-1']);
    expect(String(trailers.get('server-timing')[0])).toMatch(/run;dur=2.5/);
    expect(backend.requests[0]).toMatchObject({ model: 'echo', priority: 3 });
  });

  it('looks for room within the deadline of the call, where that is the earliest', async () => {
    await ask('ModelInfer', request(), {}, { deadline: Date.now() + 2000 });
    expect(backend.unread[0]?.timeoutMs).toBeLessThanOrEqual(2000);
    await ask('ModelInfer', request(), { 'x-interleave-timeout-ms': '1500' }, { deadline: Date.now() + 60_000 });
    expect(backend.unread[1]?.timeoutMs).toBe(1500);
  });

  it('answers by no other files than those that the caller names', async () => {
    expect(await failure(ask('ModelInfer', request(), { 'x-interleave-content-sha256': 'c0ffee' }))).toMatchObject({
      code: grpc.status.NOT_FOUND,
      details: expect.stringMatching(/has other files here/),
    });
    expect(backend.requests).toEqual([]);
  });

  it('takes typed contents and gzip', async () => {
    const typed = request({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], contents: { fp32_contents: [1, 2] } }],
      raw_input_contents: [],
    });
    const packing = clientOf(inferenceService(), GZIP);
    expect((await ask('ModelInfer', typed, {}, {}, packing))[0].raw_output_contents).toEqual([row]);
    packing.close();
  });

  it('tells what the server and its models are', async () => {
    backend.report([
      ...backend.reports,
      { name: 'slow', version: '1', revision: 2, state: 'loading', cost: null, reason: null, signature: null },
    ]);
    expect((await ask('ServerLive', {}))[0]).toEqual({ live: true });
    expect((await ask('ServerReady', {}))[0]).toEqual({ ready: true });
    expect((await ask('ModelReady', { name: 'echo', version: '1' }))[0]).toEqual({ ready: true });
    expect((await ask('ModelReady', { name: 'slow' }))[0]).toEqual({ ready: false });
    expect((await ask('ModelReady', { name: 'none' }))[0]).toEqual({ ready: false });
    expect((await ask('ModelReady', { name: 'echo', version: '2' }))[0]).toEqual({ ready: false });
    expect((await ask('ServerMetadata', {}))[0]).toMatchObject({ name: 'interleave' });
    expect((await ask('ModelMetadata', { name: 'echo' }))[0]).toMatchObject({
      name: 'echo',
      versions: ['1'],
      inputs: [{ name: 'x', datatype: 'FP32', shape: ['-1', '2'] }],
    });
  });

  it.each(['CudaSharedMemoryStatus', 'TraceSetting', 'LogSettings'])('says that %s is not there', async (method) => {
    const { code, details } = await failure(ask(method, {}));
    expect([code, details]).toEqual([grpc.status.UNIMPLEMENTED, expect.stringContaining(method)]);
  });

  it('loads and unloads models by the scheduler', async () => {
    expect(await failure(ask('RepositoryModelLoad', { model_name: 'echo' }))).toMatchObject({ code: grpc.status.UNAVAILABLE });
    const told: unknown[] = [];
    const obey = (body: unknown): object => (told.push(body), {});
    const socketPath = runPaths(options.config.runDir).statusSocket('scheduler');
    const commands = { '/models/load': obey, '/models/unload': obey };
    const scheduler = await serveProcessStatus({ socketPath, registry: new Registry(), status: () => ({}), commands });
    expect((await ask('RepositoryModelLoad', { model_name: 'echo' }))[0]).toEqual({});
    expect((await ask('RepositoryModelUnload', { model_name: 'org/echo' }))[0]).toEqual({});
    expect(told).toEqual([{ name: 'echo', waitMs: 600_000 }, { name: 'org/echo' }]);
    const elsewhere = failure(ask('RepositoryModelLoad', { repository_name: 'other', model_name: 'echo' }));
    expect(await elsewhere).toMatchObject({ code: grpc.status.UNIMPLEMENTED });
    await scheduler.close();
  });

  const refusals: [string, Partial<Record<'refusal' | 'refusalAhead', InterleaveError>>, object, grpc.status][] = [
    ['a wrong shape', {}, { inputs: [{ name: 'x', datatype: 'FP32', shape: [3] }] }, grpc.status.INVALID_ARGUMENT],
    ['an unknown model', {}, { model_name: 'none' }, grpc.status.NOT_FOUND],
    ['no room', { refusalAhead: new InterleaveError('overloaded', 'full', { retryAfterSeconds: 7 }) }, {}, grpc.status.RESOURCE_EXHAUSTED],
    ['no worker', { refusal: new InterleaveError('worker_unavailable', 'none') }, {}, grpc.status.UNAVAILABLE],
    ['a missed deadline', { refusal: new InterleaveError('deadline_exceeded', 'late') }, {}, grpc.status.DEADLINE_EXCEEDED],
    ['a fault of ours', { refusal: new Error('/secret/path') as InterleaveError }, {}, grpc.status.INTERNAL],
  ];
  it.each(refusals)('maps %s to its code', async (_what, fault, own, code) => {
    Object.assign(backend, fault);
    const refused = await failure(ask('ModelInfer', request(own)));
    expect(refused.code).toBe(code);
    expect(refused.details).not.toMatch(/secret|\.ts|\.js/);
  });

  it('says when to try again', async () => {
    backend.refusalAhead = new InterleaveError('overloaded', 'full', { retryAfterSeconds: 7 });
    const { metadata } = await failure(ask('ModelInfer', request()));
    expect([metadata.get('retry-after'), metadata.get('grpc-retry-pushback-ms')]).toEqual([['7'], ['7000']]);
  });

  it('refuses a deadline that is none', async () => {
    const session = http2Connect(`http://${address}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ServerLive',
      'content-type': 'application/grpc',
      'grpc-timeout': 'soon',
    });
    const [headers] = (await once(stream, 'response')) as [Record<string, string>];
    stream.end().resume();
    session.destroy();
    expect(Number(headers['grpc-status'])).toBe(grpc.status.INVALID_ARGUMENT);
  });

  it.each(['1193H', '2500000S'])('waits for an answer when the deadline is %s away', async (timeout) => {
    const session = http2Connect(`http://${address}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ModelInfer',
      'content-type': 'application/grpc',
      'grpc-timeout': timeout,
    });
    const { requestSerialize } = inferenceService().ModelInfer as grpc.MethodDefinition<object, object>;
    const message = requestSerialize(request());
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    stream.end(Buffer.concat([prefix, message])).resume();
    const [trailers] = (await once(stream, 'trailers')) as [Record<string, string>];
    session.destroy();
    expect(Number(trailers['grpc-status'])).toBe(grpc.status.OK);
  });

  it('refuses an option that is none, and a message that is none', async () => {
    expect(await failure(ask('ModelInfer', request(), { 'x-interleave-priority': 'high' }))).toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      details: expect.stringContaining('x-interleave-priority') as string,
    });
    for (const method of ['ModelInfer', 'ModelReady']) {
      const broken = new Promise((resolve, reject) =>
        client.makeUnaryRequest(
          `/inference.GRPCInferenceService/${method}`,
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          Buffer.from([0x0a, 0xff]),
          (error, value) => (error ? reject(error) : resolve(value)),
        ),
      );
      expect((await failure(broken)).code).toBe(grpc.status.INVALID_ARGUMENT);
    }
  });

  it('keeps the earliest deadline', async () => {
    await ask('ModelInfer', request(), {}, { deadline: Date.now() + 9000 });
    await ask('ModelInfer', request(), { 'x-interleave-timeout-ms': '8000' }, { deadline: Date.now() + 60_000 });
    await ask('ModelInfer', request(), {}, { deadline: Date.now() + 60_000 });
    const [own, option, node] = backend.requests.map(({ timeoutMs }) => timeoutMs ?? 0);
    expect(own).toBeLessThanOrEqual(9000);
    expect(option).toBeLessThanOrEqual(8000);
    expect(node).toBeLessThanOrEqual(options.config.realtime.timeoutMs);
  });

  it('frees what waits when the deadline passes or the caller cancels', async () => {
    backend.gate = new Promise(() => undefined);
    const late = failure(ask('ModelInfer', request(), {}, { deadline: Date.now() + 1000 }));
    const call = client.ModelInfer?.(request(), () => undefined);
    await running();
    expect((await late).code).toBe(grpc.status.DEADLINE_EXCEEDED);
    call?.cancel();
    while (backend.admittedItems() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('counts requests as those of HTTP', async () => {
    const finished = jest.spyOn(app.get(LiveMetrics), 'finished');
    await ask('ModelInfer', request());
    await failure(ask('ModelInfer', request({ model_name: 'none' })));
    while (finished.mock.calls.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(finished.mock.calls.map(([{ endpoint, model }, status]) => [endpoint, model, status])).toEqual([
      ['grpc_infer', 'echo', 200],
      ['grpc_infer', '', 404],
    ]);
  });

  it('answers many requests on one stream as they come, also those that fail', async () => {
    const stream = client.ModelStreamInfer?.() as grpc.ClientDuplexStream<object, StreamAnswer>;
    const answers: StreamAnswer[] = [];
    stream.on('data', (answer: StreamAnswer) => answers.push(answer));
    for (let i = 0; i < 200; i++) {
      stream.write(request({ id: String(i), ...(i % 10 === 0 && { model_name: 'none' }) }));
      if (i % 8 === 7) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    stream.end();
    await once(stream, 'end');
    expect(answers.map(({ infer_response }) => Number(infer_response?.id)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    );
    const failed = answers.filter(({ error_message }) => error_message !== '');
    expect(failed.every(({ infer_response }) => Number(infer_response?.id) % 10 === 0)).toBe(true);
    expect(failed.length).toBeGreaterThanOrEqual(20);
  });

  it('frees what a cancelled stream waits for', async () => {
    backend.gate = new Promise(() => undefined);
    const stream = client.ModelStreamInfer?.() as grpc.ClientDuplexStream<object, StreamAnswer>;
    stream.on('error', () => undefined);
    for (let i = 0; i < 4; i++) stream.write(request());
    while (backend.admittedItems() < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    stream.cancel();
    while (backend.admittedItems() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  const raw = (bytes: Buffer, by = client): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const identity = (value: Buffer): Buffer => value;
      by.makeUnaryRequest('/inference.GRPCInferenceService/ModelInfer', identity, identity, bytes, (error, value) =>
        error ? reject(error) : resolve(value),
      );
    });

  it('refuses messages over the limit, as they are or unpacked, and goes on', async () => {
    expect((await failure(raw(Buffer.alloc(BODY_BYTES_MAX + 1)))).code).toBe(grpc.status.RESOURCE_EXHAUSTED);
    const bomb = Buffer.alloc(BODY_BYTES_MAX * 8);
    expect(gzipSync(bomb).length).toBeLessThan(BODY_BYTES_MAX / 64);
    const packing = clientOf(inferenceService(), GZIP);
    const { code, details } = await failure(raw(bomb, packing));
    packing.close();
    expect([code, details]).toEqual([grpc.status.RESOURCE_EXHAUSTED, expect.stringContaining('unpacks to more')]);
    expect((await ask('ModelInfer', request()))[0].id).toBe('a');
  });

  it('refuses a large message to a call without tensors', async () => {
    const { code } = await failure(ask('ModelReady', { name: 'x'.repeat(300_000) }));
    expect(code).toBe(grpc.status.RESOURCE_EXHAUSTED);
  });

  it.each([
    ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n')],
    ['TLS', Buffer.from('16030100a5010000a10303', 'hex')],
    ['noise', Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 197) & 0xff))],
    ['a preface and noise', Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(512, 0xee)])],
  ])('closes connections that speak %s, and goes on', async (_what, bytes) => {
    const [host, port] = address.split(':');
    const socket = connect(Number(port), host).on('error', () => undefined);
    socket.write(bytes);
    socket.resume();
    await once(socket, 'close');
    expect((await ask('ModelInfer', request()))[0].id).toBe('a');
  });

  it('serves health by model, and tells watchers of changes', async () => {
    const check = (service: string) => ask<{ status: string }>('Check', { service }, {}, {}, health);
    expect((await check(''))[0].status).toBe('SERVING');
    expect((await check('echo'))[0].status).toBe('SERVING');
    expect((await failure(check('none'))).code).toBe(grpc.status.NOT_FOUND);
    const watch = health.Watch?.({ service: 'echo' }) as unknown as grpc.ClientReadableStream<{ status: string }>;
    const told: string[] = [];
    watch.on('data', ({ status }: { status: string }) => told.push(status));
    await once(watch, 'data');
    backend.report(backend.reports.map((report) => ({ ...report, state: 'failed' })));
    await once(watch, 'data');
    expect(told).toEqual(['SERVING', 'NOT_SERVING']);
    watch.on('error', () => undefined).cancel();
  });

  it('has so many health watches of one address, and room again when one ends', async () => {
    const watch = () => {
      const call = health.Watch?.({ service: '' }) as unknown as grpc.ClientReadableStream<object>;
      const code = new Promise<grpc.status>((resolve) =>
        call.on('data', () => resolve(grpc.status.OK)).on('error', (e: Failure) => resolve(e.code)),
      );
      return { call, code };
    };
    const open = Array.from({ length: 256 }, watch);
    expect(new Set(await Promise.all(open.map(({ code }) => code)))).toEqual(new Set([grpc.status.OK]));
    expect(await watch().code).toBe(grpc.status.RESOURCE_EXHAUSTED);
    open[0]?.call.cancel();
    while ((await watch().code) !== grpc.status.OK) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('answers what runs while it drains, ends streams and watches, and takes no new connection', async () => {
    let open: () => void = () => undefined;
    backend.gate = new Promise<void>((resolve) => (open = resolve));
    const answer = ask('ModelInfer', request());
    const stream = client.ModelStreamInfer?.() as grpc.ClientDuplexStream<object, StreamAnswer>;
    const ended = new Promise<grpc.status>((resolve) => stream.once('status', ({ code }: { code: grpc.status }) => resolve(code)));
    stream.on('error', () => undefined).resume();
    const watch = health.Watch?.({ service: '' }) as unknown as grpc.ClientReadableStream<{ status: string }>;
    const told: string[] = [];
    watch.on('data', ({ status }: { status: string }) => told.push(status));
    await once(watch, 'data');
    await running();
    const closed = app.close();
    expect(await ended).toBe(grpc.status.UNAVAILABLE);
    await once(watch, 'end');
    expect(told).toEqual(['SERVING', 'NOT_SERVING']);
    const fresh = clientOf(inferenceService());
    expect((await failure(ask('ServerLive', {}, {}, { deadline: Date.now() + 5000 }, fresh))).code).toBe(grpc.status.UNAVAILABLE);
    fresh.close();
    open();
    expect((await answer)[0].id).toBe('a');
    await closed;
  });
});
