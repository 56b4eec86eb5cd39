import { rmSync } from 'node:fs';
import { once } from 'node:events';
import { loadConfig } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { openTracing, type Tracing } from '@app/telemetry';
import * as grpc from '@grpc/grpc-js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { OtlpReceiver, treeOf, type ReceivedSpan } from '../../../../test/support/otlp-receiver';
import { inferenceService } from '../grpc/definitions';
import { GrpcServer } from '../grpc/grpc-server';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const STAGES = ['accept', 'admit', 'tokenize', 'enqueue', 'coalesce', 'run', 'respond'];
const below = (name: string, parts: string[], indent = ''): string =>
  `${indent}${name}\n${parts.map((part) => `${indent}  ${part}\n`).join('')}`;
const request = {
  model_name: 'echo',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }],
  raw_input_contents: [Buffer.alloc(8)],
};

describe('traces of the API', () => {
  let receiver: OtlpReceiver;
  let backend: EchoBackend;
  let options: ApiOptions;
  let tracing: Tracing | null;
  let app: NestFastifyApplication;
  let url: string;

  beforeEach(async () => {
    receiver = await OtlpReceiver.open();
    backend = new EchoBackend();
    options = apiOn(backend);
  });
  afterEach(async () => {
    await app.close();
    await tracing?.close();
    await receiver.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function start(environment: Record<string, string> = {}): Promise<void> {
    const config = loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...environment }).tracing;
    tracing = openTracing(config, { id: 'api', nodeId: 'n1' }, options.logger);
    app = await createServer({ ...options, tracing });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  }

  const predict = (traceparent: string | null, rows = 1): Promise<Response> =>
    fetch(`${url}/v1/models/echo:predict?key=secret`, {
      method: 'POST',
      body: JSON.stringify({ instances: Array.from({ length: rows }, (_, i) => ({ x: [i, 0.5] })) }),
      headers: { 'content-type': 'application/json', 'x-request-id': 'mine', ...(traceparent !== null && { traceparent }) },
    });
  const isOver = (spans: ReceivedSpan[]): boolean => spans.some(({ name }) => name.startsWith('POST'));

  it('has a live request join the trace of its caller, with a span for each stage', async () => {
    await start({ OTEL_SERVICE_NAME: 'mine', OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20b' });
    const response = await predict(`00-${TRACE}-${CALLER}-01`);
    const spans = await receiver.trace(TRACE, isOver);
    expect(treeOf(spans)).toBe(below('POST /v1/models/{model}:predict', STAGES));
    const [server] = spans.filter(({ parentId }) => parentId === CALLER);
    expect(server).toMatchObject({
      kind: 2,
      hasFailed: false,
      attributes: {
        'http.request.method': 'POST',
        'url.path': '/v1/models/echo:predict',
        'http.response.status_code': 200,
        'interleave.model': 'echo',
        'interleave.lane': 'realtime',
        'interleave.request_id': 'mine',
      },
      resource: { 'service.name': 'mine', 'service.instance.id': 'n1/api' },
    });
    expect(spans.find(({ name }) => name === 'run')?.attributes).toEqual({ 'interleave.run.rows': 3 });
    expect(receiver.headers['x-key']).toBe('a b');
    expect(response.headers.get('server-timing')).toContain(`traceparent;desc="00-${TRACE}-${server?.spanId}-01"`);
    expect(JSON.stringify(receiver.spans)).not.toContain('secret');
  });

  it('links the members of one run', async () => {
    backend.startedNs = 42;
    await start();
    await predict(null);
    await predict(`00-${TRACE}-${CALLER}-01`);
    const [run] = (await receiver.trace(TRACE, isOver)).filter(({ name }) => name === 'run');
    const [other] = receiver.spans.filter(({ name, traceId }) => name === 'run' && traceId !== TRACE);
    expect(run?.links).toEqual([{ traceId: other?.traceId, spanId: other?.spanId }]);
  });

  it('tells of an error what stages there were', async () => {
    backend.refusal = new InterleaveError('worker_unavailable', 'no worker');
    await start();
    const response = await predict(`00-${TRACE}-${CALLER}-01`);
    expect(response.headers.get('server-timing')).toMatch(/^accept;dur=[\d.]+, admit;.+, tokenize;.+, enqueue;dur=[\d.]+, traceparent/);
    const spans = await receiver.trace(TRACE, isOver);
    expect(treeOf(spans)).toBe(below('POST /v1/models/{model}:predict', STAGES.slice(0, 4)));
    expect(spans.at(-1)).toMatchObject({ hasFailed: true, attributes: { 'error.type': 'worker_unavailable' } });
  });

  it('ignores a traceparent that is none, and follows a caller who does not sample', async () => {
    await start();
    await predict('00-zz-b7ad6b7169203331-01');
    await predict(`00-${TRACE}-${CALLER}-00`);
    await tracing?.close();
    expect(receiver.spans.filter(({ name }) => name.startsWith('POST')).map(({ parentId }) => parentId)).toEqual(['']);
  });

  it('keeps the share of traces that is asked for, whole', async () => {
    await start({ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' });
    for (let i = 0; i < 200; i++) await predict(null);
    await tracing?.close();
    const traces = new Set(receiver.spans.map(({ traceId }) => traceId));
    // The chance of fewer than 3 or more than 50 of 200 is below one in a million.
    expect(traces.size).toBeGreaterThanOrEqual(3);
    expect(traces.size).toBeLessThanOrEqual(50);
    expect(receiver.spans).toHaveLength(traces.size * (STAGES.length + 1));
  });

  it('has a span for a stream of gRPC, and one for each message below it', async () => {
    await start();
    await app.get(GrpcServer).listen({ port: 0, host: '127.0.0.1' });
    const Client = grpc.makeClientConstructor(inferenceService(), 'service');
    const client = new Client(app.get(GrpcServer).address() as string, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    for (const [name, value] of [
      ['traceparent', `00-${TRACE}-${CALLER}-01`],
      ['x-request-id', 'mine'],
    ] as const)
      metadata.set(name, value);
    const stream = (client['ModelStreamInfer'] as (metadata: grpc.Metadata) => grpc.ClientDuplexStream<object, StreamAnswer>).call(
      client,
      metadata,
    );
    for (const id of ['a', 'b']) {
      stream.write({ ...request, id });
      const [{ infer_response: answer }] = (await once(stream, 'data')) as [StreamAnswer];
      expect([answer.id, answer.parameters['x-request-id']?.string_param]).toEqual([id, `mine/${id === 'a' ? 1 : 2}`]);
      expect(answer.parameters['server-timing']?.string_param).toContain('run;dur=2.5');
    }
    stream.end();
    await once(stream, 'end');
    const spans = await receiver.trace(TRACE, (received) => received.some(({ name }) => name.endsWith('ModelStreamInfer')));
    const message = below('message', STAGES, '  ');
    expect(treeOf(spans)).toBe(`inference.GRPCInferenceService/ModelStreamInfer\n${message}${message}`);
    client.close();
  });
});

interface StreamAnswer {
  infer_response: { id: string; parameters: Record<string, { string_param: string }> };
}
