import { once } from 'node:events';
import { rmSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { inferenceService } from '../grpc/definitions';
import { GrpcServer } from '../grpc/grpc-server';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { orcaService, streamMethod } from './orca';

const PREDICT = '/v1/models/echo:predict';
const BODY = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"instances":[{"x":[1,2]}]}' };
const infer = {
  model_name: 'echo',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }],
  raw_input_contents: [Buffer.from(Float32Array.of(1, 2).buffer)],
};
const NUMBER = '\\d+(?:\\.\\d+)?(?:e-?\\d+)?';
const TEXT = new RegExp(
  `^TEXT rps_fractional=${NUMBER},eps=${NUMBER},application_utilization=${NUMBER},` +
    `named_metrics\\.live_backlog_ms=${NUMBER},named_metrics\\.live_load=${NUMBER}$`,
);

type Unary = (request: object, done: (error: grpc.ServiceError | null, answer: unknown) => void) => grpc.ClientUnaryCall;
type Streaming = (request?: object) => grpc.ClientDuplexStream<object, object>;
type Client = grpc.Client & { ModelInfer: Unary; ModelStreamInfer: Streaming; StreamCoreMetrics: Streaming };

describe('reports of load', () => {
  let backend: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  const clients: grpc.Client[] = [];

  async function serve(own: Partial<ApiOptions['config']> = {}): Promise<void> {
    backend = new EchoBackend();
    options = apiOn(backend);
    app = await createServer({ ...options, config: { ...options.config, ...own } });
    await app.listen(0, '127.0.0.1');
    await app.get(GrpcServer).listen({ port: 0, host: '127.0.0.1' });
  }
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  const predict = async (path = PREDICT): Promise<Response> => fetch(`${await app.getUrl()}${path}`, BODY);
  /** A report needs an answer, and a moment after it. */
  async function warm(): Promise<void> {
    await predict();
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  function clientOf(service: grpc.ServiceDefinition): Client {
    const client = new (grpc.makeClientConstructor(service, ''))(
      app.get(GrpcServer).address() as string,
      grpc.credentials.createInsecure(),
    ) as unknown as Client;
    clients.push(client);
    return client;
  }
  const reportIn = (metadata: grpc.Metadata): object =>
    streamMethod.responseDeserialize(metadata.get('endpoint-load-metrics-bin')[0] as Buffer);
  const known = expect.objectContaining({
    rps_fractional: expect.any(Number) as number,
    named_metrics: { live_backlog_ms: expect.any(Number) as number, live_load: expect.any(Number) as number },
  }) as object;

  it('are in a header of live answers and refusals, in the form that Envoy reads', async () => {
    await serve();
    await warm();
    expect((await predict()).headers.get('endpoint-load-metrics')).toMatch(TEXT);
    expect((await predict('/v1/models/none:predict')).headers.get('endpoint-load-metrics')).toMatch(TEXT);
    const models = await fetch(`${await app.getUrl()}/v1/models`);
    expect(models.headers.get('endpoint-load-metrics')).toBeNull();
  });

  it('are in the trailers of gRPC answers, failures and streams', async () => {
    await serve();
    await warm();
    const client = clientOf(inferenceService());
    const statusOf = (call: grpc.ClientUnaryCall | grpc.ClientDuplexStream<object, object>): Promise<grpc.StatusObject> =>
      once(call, 'status').then(([ended]) => ended as grpc.StatusObject);
    const answered = await statusOf(client.ModelInfer(infer, () => undefined));
    expect([answered.code, reportIn(answered.metadata)]).toEqual([grpc.status.OK, known]);
    expect(answered.metadata.get('x-request-id')).toHaveLength(1);
    const refused = await statusOf(client.ModelInfer({ ...infer, model_name: 'none' }, () => undefined));
    expect([refused.code, reportIn(refused.metadata)]).toEqual([grpc.status.NOT_FOUND, known]);
    const stream = client.ModelStreamInfer();
    const ended = statusOf(stream);
    stream.on('data', () => stream.end());
    stream.write(infer);
    expect(reportIn((await ended).metadata)).toEqual(known);
  });

  it('are a stream of their own for those who ask', async () => {
    await serve();
    await warm();
    const stream = clientOf(orcaService).StreamCoreMetrics({ report_interval: { seconds: 0, nanos: 1 } });
    stream.on('error', () => undefined);
    const [first] = (await once(stream, 'data')) as [object];
    const [second] = (await once(stream, 'data')) as [object];
    stream.cancel();
    expect([first, second]).toEqual([known, known]);
  });

  it('are not there where a node is alone', async () => {
    await serve({ redisUrl: null });
    await warm();
    expect((await predict()).headers.get('endpoint-load-metrics')).toBeNull();
    const stream = clientOf(orcaService).StreamCoreMetrics({});
    const [error] = (await once(stream, 'error')) as [grpc.ServiceError];
    expect(error.code).toBe(grpc.status.UNIMPLEMENTED);
  });
});
