import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { addKey, keyFilePath, removeKey, type KeyGrant } from '@app/access';
import * as grpc from '@grpc/grpc-js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Certificates, type Issued } from '../../../../test/support/certificates';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { healthService, inferenceService } from './definitions';
import { GrpcServer } from './grpc-server';
import { GRANT } from '../../../../test/fixtures/key-grant';

const { NOT_FOUND, OK, PERMISSION_DENIED, UNAUTHENTICATED } = grpc.status;
const REQUEST = {
  model_name: 'echo',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }],
  raw_input_contents: [Buffer.from(Float32Array.of(1, 2).buffer)],
};

interface StreamAnswer {
  error_message: string;
}
type Client = grpc.Client & Record<string, (...args: unknown[]) => grpc.ClientDuplexStream<object, StreamAnswer>>;

describe('the door of gRPC', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  const clients: grpc.Client[] = [];
  const backend = new EchoBackend();
  const echo = backend.reports[0] as (typeof backend.reports)[number];
  backend.reports = [echo, { ...echo, name: 'secret' }];

  beforeEach(() => (options = apiOn(backend)));
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function open(): Promise<void> {
    app = await createServer(options);
    await app.get(GrpcServer).listen({ port: 0, host: '127.0.0.1' });
  }

  function clientOf(service: grpc.ServiceDefinition, credentials = grpc.credentials.createInsecure()): Client {
    const Made = grpc.makeClientConstructor(service, 'service');
    const settings = { 'grpc.ssl_target_name_override': 'localhost', 'grpc.use_local_subchannel_pool': 1 };
    const client = new Made(app.get(GrpcServer).address() as string, credentials, settings) as unknown as Client;
    clients.push(client);
    return client;
  }

  function metadataOf(values: Record<string, string>): grpc.Metadata {
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(values)) metadata.set(name, value);
    return metadata;
  }

  /** The status of a unary call, and what it says. */
  function ask(client: Client, method: string, body: object, metadata: Record<string, string> = {}): Promise<[grpc.status, unknown]> {
    return new Promise((resolve) => {
      const done = (error: grpc.ServiceError | null, answer: unknown): void => resolve(error ? [error.code, error.details] : [OK, answer]);
      (client[method] as unknown as (...args: unknown[]) => void).call(client, body, metadataOf(metadata), done);
    });
  }

  describe('with keys', () => {
    let inference: Client;
    let health: Client;
    const path = () => keyFilePath(options.config.dataDir);
    const keyOf = (grant: Partial<KeyGrant> = {}) => addKey(path(), { ...GRANT, ...grant });
    const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

    async function openWith(grant: Partial<KeyGrant> = {}): Promise<{ secret: string; id: string }> {
      const { secret, record } = await keyOf(grant);
      await open();
      [inference, health] = [clientOf(inferenceService()), clientOf(healthService())];
      return { secret, id: record.id };
    }

    it('asks for one in every call but those for health', async () => {
      const { secret } = await openWith();
      const codes = async (metadata: Record<string, string>) => {
        const calls: [string, object][] = [
          ['ModelInfer', REQUEST],
          ['ServerMetadata', {}],
          ['ModelReady', { name: 'echo' }],
          ['ModelMetadata', { name: 'echo' }],
          ['ModelStatistics', {}],
          ['ModelConfig', { name: 'echo' }],
          ['RepositoryIndex', {}],
        ];
        const asked = await Promise.all(calls.map(([method, body]) => ask(inference, method, body, metadata)));
        return [...new Set(asked.map(([code]) => code))];
      };
      expect(await codes({})).toEqual([UNAUTHENTICATED]);
      expect(await codes(bearer('wrong'))).toEqual([UNAUTHENTICATED]);
      expect(await codes(bearer(secret))).toEqual([OK]);
      expect(await codes({ 'x-api-key': secret })).toEqual([OK]);
      expect((await ask(inference, 'ServerLive', {}))[0]).toBe(OK);
      expect((await ask(inference, 'ServerReady', {}))[0]).toBe(OK);
      expect(await ask(health, 'Check', {})).toEqual([OK, { status: 'SERVING' }]);
      expect((await ask(health, 'Check', { service: 'echo' }))[0]).toBe(UNAUTHENTICATED);
      expect((await ask(health, 'List', {}))[0]).toBe(UNAUTHENTICATED);
    });

    it('shows and runs only the models of the key', async () => {
      const { secret } = await openWith({ models: ['echo'] });
      const as = (client: Client, method: string, body: object) => ask(client, method, body, bearer(secret));
      const [unknown] = await as(inference, 'ModelInfer', { ...REQUEST, model_name: 'none' });
      expect(await as(inference, 'ModelReady', { name: 'echo' })).toEqual([OK, { ready: true }]);
      expect(await as(inference, 'ModelReady', { name: 'secret' })).toEqual([OK, { ready: false }]);
      for (const method of ['ModelMetadata', 'ModelConfig', 'ModelStatistics'])
        expect([method, (await as(inference, method, { name: 'secret' }))[0]]).toEqual([method, NOT_FOUND]);
      expect([unknown, (await as(inference, 'ModelInfer', { ...REQUEST, model_name: 'secret' }))[0]]).toEqual([NOT_FOUND, NOT_FOUND]);
      expect((await as(health, 'Check', { service: 'secret' }))[0]).toBe(NOT_FOUND);
      expect(JSON.stringify(await as(health, 'List', {}))).not.toContain('secret');
      expect(JSON.stringify(await as(inference, 'RepositoryIndex', {}))).not.toContain('secret');
      expect(JSON.stringify(await as(inference, 'ModelStatistics', {}))).not.toContain('secret');
    });

    it.each(['expires', 'is revoked'])('ends what is open and idle when its key %s, but not the watch of the whole server', async (how) => {
      const expiresAt = how === 'expires' ? Math.floor(Date.now() / 1000) + 6 : null;
      const { secret, id } = await openWith({ expiresAt });
      await keyOf();
      const metadata = metadataOf(bearer(secret));
      const stream = inference.ModelStreamInfer?.(metadata) as grpc.ClientDuplexStream<object, StreamAnswer>;
      const watch = health.Watch?.({ service: 'echo' }, metadata) as unknown as grpc.ClientReadableStream<object>;
      const ofServer = health.Watch?.({ service: '' }, metadata) as unknown as grpc.ClientReadableStream<object>;
      let isServerWatched = true;
      ofServer.on('error', () => (isServerWatched = false)).on('data', () => undefined);
      const codeOf = (call: NodeJS.EventEmitter) =>
        new Promise<grpc.status>((resolve) => call.on('error', ({ code }: grpc.ServiceError) => resolve(code)).on('data', () => undefined));
      const ended = Promise.all([codeOf(stream), codeOf(watch)]);
      if (how === 'is revoked') {
        await once(watch, 'data');
        await removeKey(path(), id);
      }
      expect(await ended).toEqual([UNAUTHENTICATED, UNAUTHENTICATED]);
      expect(isServerWatched).toBe(true);
    });

    it('refuses the live lane to a key without it', async () => {
      const { secret } = await openWith({ lanes: ['batch'] });
      expect((await ask(inference, 'ModelInfer', REQUEST, bearer(secret)))[0]).toBe(PERMISSION_DENIED);
    });

    it('ends a stream whose key was revoked, at its next request', async () => {
      const { secret, id } = await openWith();
      await keyOf();
      const stream = (inference.ModelStreamInfer as (...args: unknown[]) => grpc.ClientDuplexStream<object, StreamAnswer>).call(
        inference,
        metadataOf(bearer(secret)),
      );
      const ended = new Promise<grpc.status>((resolve) => stream.on('error', ({ code }: grpc.ServiceError) => resolve(code)));
      let answers = 0;
      stream.on('data', () => answers++);
      stream.write(REQUEST);
      while (answers === 0) await sleep(5);
      await removeKey(path(), id);
      const timer = setInterval(() => stream.write(REQUEST), 20);
      expect(await ended).toBe(UNAUTHENTICATED);
      clearInterval(timer);
    });
  });

  describe('over TLS', () => {
    let certificates: Certificates;
    let first: Issued;
    beforeAll(() => {
      certificates = new Certificates();
      first = certificates.selfSigned('first');
    });
    afterAll(() => certificates.remove());

    it('answers who trusts its certificate, the new one after a rotation, and nobody in plain text', async () => {
      const paths = certificates.paths(null);
      certificates.put(paths, first);
      options = { ...options, config: { ...options.config, tls: paths } };
      await open();
      const trusting = ({ certFile }: { certFile: string }) => grpc.credentials.createSsl(readFileSync(certFile));
      const old = clientOf(inferenceService(), trusting(paths));
      expect((await ask(old, 'ModelInfer', REQUEST))[0]).toBe(OK);
      expect((await ask(clientOf(inferenceService()), 'ServerLive', {}))[0]).not.toBe(OK);
      const second = certificates.selfSigned('second');
      certificates.put(paths, second);
      const isNew = async (): Promise<boolean> => (await ask(clientOf(inferenceService(), trusting(paths)), 'ServerLive', {}))[0] === OK;
      while (!(await isNew())) await sleep(50);
      // The connection of before goes on.
      expect((await ask(old, 'ModelInfer', REQUEST))[0]).toBe(OK);
    });
  });
});
