import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import type { ModelReport, PlacedVersion, Placement } from '@app/contracts';
import { openModelCatalog } from '@app/models';
import { serveProcessStatus, type ProcessStatusServer } from '@app/process';
import { createLogger } from '@app/telemetry';
import * as grpc from '@grpc/grpc-js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { healthService, inferenceService } from '../grpc/definitions';
import { GrpcServer } from '../grpc/grpc-server';
import { LaneModule } from '../lane/lane.module';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

const ROW = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] };
const versions: PlacedVersion[] = ['1', '2'].map((version) => ({
  name: 'ver',
  version,
  serving: Number(version),
  next: null,
  state: 'serving',
  reason: null,
}));
const placement: Placement = {
  formatVersion: 1,
  partitions: [],
  workers: [],
  versions,
  releases: [{ name: 'ver', labels: { stable: '2', old: '1' }, canary: null, mirror: null, rollback: null, promote: null }],
};

describe('labels of versions', () => {
  let modelsDir: string;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let scheduler: ProcessStatusServer | null = null;

  beforeEach(async () => {
    modelsDir = mkdtempSync(join(tmpdir(), 'labels-'));
    for (const { version } of versions) {
      mkdirSync(join(modelsDir, 'ver', version), { recursive: true });
      writeFileSync(join(modelsDir, 'ver', version, 'model.onnx'), 'not read here');
      writeFileSync(join(modelsDir, 'ver', version, 'model.yaml'), 'task: tensor');
    }
    const backend = new EchoBackend();
    const [echo] = backend.reports as [ModelReport];
    backend.report(versions.map(({ version }) => ({ ...echo, name: 'ver', version, revision: Number(version) })));
    const catalog = await openModelCatalog(modelsDir, 'realtime', createLogger('test', 'silent'), { placement, onChange: () => undefined });
    catalog.applyReports(backend.reports);
    options = { ...apiOn(backend), lane: LaneModule.of(backend, new EchoBackend('batch'), catalog) };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    await app.get(GrpcServer).listen({ port: 0, host: '127.0.0.1' });
    url = await app.getUrl();
  });
  afterEach(async () => {
    await scheduler?.close();
    scheduler = null;
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
    rmSync(modelsDir, { recursive: true });
  });

  const send = async (method: string, path: string, body?: object) => {
    const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const response = await fetch(url + path, { method, ...init });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  it.each<[string, string, object | undefined, object]>([
    ['POST', '/v2/models/ver:old/infer', ROW, { model_name: 'ver', model_version: '1' }],
    ['POST', '/v1/models/ver:old:predict', { instances: [[1, 2]] }, { predictions: [[1, 2]] }],
    ['GET', '/v1/models/ver:old', undefined, { id: 'ver', name: 'ver', ready: true, versions: [{ version: '1' }] }],
    ['GET', '/v2/models/ver:old', undefined, { name: 'ver', versions: ['1'] }],
    ['GET', '/v2/models/ver:old/ready', undefined, { name: 'ver', ready: true }],
    ['GET', '/v2/models/ver:old/stats', undefined, { model_stats: [{ name: 'ver', version: '1' }] }],
    ['GET', '/v2/models/ver:old/config', undefined, { name: 'ver' }],
  ])('are taken by %s %s', async (method, path, body, expected) => {
    expect(await send(method, path, body)).toMatchObject({ status: 200, body: expected });
    expect((await send(method, path.replace(':old', ':none'), body)).status).toBe(404);
  });

  it.each<[string, string, object | undefined]>([
    ['POST', '/v2/models/ver:old/versions/1/infer', ROW],
    ['POST', '/v1/models/ver:old/versions/1:predict', { instances: [[1, 2]] }],
    ['GET', '/v2/models/ver:old/versions/1', undefined],
    ['GET', '/v2/models/ver:old/versions/1/ready', undefined],
    ['GET', '/v2/models/ver:old/versions/1/stats', undefined],
    ['GET', '/v2/models/ver:old/versions/1/config', undefined],
  ])('are refused beside a version by %s %s', async (method, path, body) => {
    const answer = await send(method, path, body);
    expect([answer.status, JSON.stringify(answer.body)]).toEqual([400, expect.stringContaining('expected a label or a version')]);
  });

  it('are taken by gRPC', async () => {
    const address = app.get(GrpcServer).address() as string;
    const ask = (service: grpc.ServiceDefinition, call: string, request: object): Promise<object> => {
      const client = new (grpc.makeGenericClientConstructor(service, ''))(address, grpc.credentials.createInsecure());
      const method = (client as unknown as Record<string, (request: object, told: grpc.requestCallback<object>) => void>)[call];
      return new Promise<object>((resolve, reject) =>
        method?.call(client, request, (error: Error | null, answer?: object) => (error === null ? resolve(answer ?? {}) : reject(error))),
      ).finally(() => client.close());
    };
    const name = 'ver:old';
    expect(await ask(inferenceService(), 'ModelReady', { name })).toEqual({ ready: true });
    expect(await ask(inferenceService(), 'ModelReady', { name: 'ver:none' })).toEqual({ ready: false });
    expect(await ask(inferenceService(), 'ModelMetadata', { name })).toMatchObject({ name: 'ver', versions: ['1'] });
    expect(await ask(inferenceService(), 'ModelStatistics', { name })).toMatchObject({ model_stats: [{ name: 'ver', version: '1' }] });
    expect(await ask(inferenceService(), 'ModelConfig', { name })).toMatchObject({ config: { name: 'ver' } });
    expect(await ask(healthService(), 'Check', { service: name })).toEqual({ status: 'SERVING' });
    await expect(ask(healthService(), 'Check', { service: 'ver:none' })).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
  });

  it('name the version that is loaded or unloaded', async () => {
    const told: unknown[] = [];
    const note = async (command: unknown): Promise<object> => ({ told: told.push(command) });
    const commands = { '/models/load': note, '/models/unload': note };
    scheduler = await serveProcessStatus({
      socketPath: runPaths(options.config.runDir).statusSocket('scheduler'),
      registry: new Registry(),
      status: () => ({}),
      commands,
    });
    expect((await send('POST', '/v2/repository/models/ver:old/load', {})).status).toBe(200);
    expect((await send('POST', '/v2/repository/models/ver:old/unload', {})).status).toBe(200);
    expect((await send('POST', '/v2/repository/models/ver:none/load', {})).status).toBe(404);
    expect((await send('POST', '/v2/repository/models/other/load', {})).status).toBe(200);
    const meant = { name: 'ver', version: '1' };
    expect(told).toEqual([expect.objectContaining(meant), meant, expect.objectContaining({ name: 'other' })]);
  });

  it('does not offer a method that the path does not take', async () => {
    const answer = await send('POST', '/v1/models/ver/versions/1:x:predict', { instances: [[1, 2]] });
    expect([answer.status, JSON.stringify(answer.body)]).toEqual([404, expect.stringContaining('No such path')]);
  });
});
