import { once } from 'node:events';
import { rmSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { inferenceService } from '../grpc/definitions';
import { GrpcServer } from '../grpc/grpc-server';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

type Call = (request: object, done: (error: grpc.ServiceError | null) => void) => grpc.ClientUnaryCall;
type Client = grpc.Client & {
  ServerLive: Call;
  ModelMetadata: Call;
  ModelInfer: Call;
  ModelStreamInfer: () => grpc.ClientDuplexStream<object, object>;
};

const INFER = {
  model_name: 'echo',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }],
  raw_input_contents: [Buffer.from(Float32Array.of(1, 2).buffer)],
};

describe('metrics of gRPC', () => {
  let backend: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let client: Client;

  beforeEach(async () => {
    backend = new EchoBackend();
    options = apiOn(backend);
    app = await createServer(options);
    await app.get(GrpcServer).listen({ port: 0, host: '127.0.0.1' });
    const Client = grpc.makeGenericClientConstructor(inferenceService(), '');
    client = new Client(app.get(GrpcServer).address() as string, grpc.credentials.createInsecure()) as unknown as Client;
  });
  afterEach(async () => {
    client.close();
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function series(name: string): Promise<string[]> {
    const text = await app.get(Registry).getSingleMetricAsString(name);
    return text
      .split('\n')
      .filter((line) => line.startsWith(name))
      .sort();
  }
  /** Calls are counted when their stream has closed, which may be after the caller has its answer, and in any order. */
  async function until(name: string, expected: string[]): Promise<void> {
    for (let looks = 0; looks < 1000 && (await series(name)).length < expected.length; looks++)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await series(name)).toEqual(expected.map((line) => name + line).sort());
  }
  const call = (method: 'ServerLive' | 'ModelMetadata' | 'ModelInfer', request: object): Promise<unknown> =>
    new Promise((resolve) => client[method](request, resolve));

  it('count calls by method and status, and those that are open', async () => {
    await call('ServerLive', {});
    await call('ModelMetadata', { name: 'none' });
    await call('ModelInfer', INFER);
    const stream = client.ModelStreamInfer();
    stream.write(INFER);
    await once(stream, 'data');
    await until('interleave_grpc_calls_total', [
      '{method="ServerLive",status="OK"} 1',
      '{method="ModelMetadata",status="NOT_FOUND"} 1',
      '{method="ModelInfer",status="OK"} 1',
    ]);
    await until('interleave_grpc_open_calls', [
      '{method="ServerLive"} 0',
      '{method="ModelMetadata"} 0',
      '{method="ModelInfer"} 0',
      '{method="ModelStreamInfer"} 1',
    ]);
    backend.gate = new Promise(() => undefined);
    stream.write(INFER);
    while (backend.requests.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    stream.on('error', () => undefined).cancel();
    await until('interleave_grpc_calls_total', [
      '{method="ServerLive",status="OK"} 1',
      '{method="ModelMetadata",status="NOT_FOUND"} 1',
      '{method="ModelInfer",status="OK"} 1',
      '{method="ModelStreamInfer",status="CANCELLED"} 1',
    ]);
  });

  it('count a call whose caller gave up as cancelled', async () => {
    backend.gate = new Promise(() => undefined);
    const given = client.ModelInfer(INFER, () => undefined);
    while (backend.requests.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    given.cancel();
    await until('interleave_grpc_calls_total', ['{method="ModelInfer",status="CANCELLED"} 1']);
  });
});
