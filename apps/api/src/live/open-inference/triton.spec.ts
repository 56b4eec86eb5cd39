import { rmSync } from 'node:fs';
import { InterleaveError, type ModelReport } from '@app/contracts';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../../server';
import { DocumentedAnswers } from '../../testing/documented-answers';
import { apiOn, EchoBackend } from '../../testing/fakes';
import type { ModelStatistics } from './model-statistics';

const ROWS = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] }] };
const JSON_TYPE = { 'content-type': 'application/json' };

describe("Triton's extensions about models", () => {
  const answers = new DocumentedAnswers();
  let backend: EchoBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;

  beforeEach(async () => {
    backend = new EchoBackend();
    options = apiOn(backend);
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    answers.watch();
  });
  afterEach(async () => {
    expect(await answers.faults()).toEqual([]);
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  const get = async (path: string) => {
    const response = await fetch(url + path);
    return [response.status, await response.json()] as const;
  };
  const infer = () => fetch(`${url}/v2/models/echo/infer`, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(ROWS) });
  const index = async (body: string) => {
    const response = await fetch(`${url}/v2/repository/index`, { method: 'POST', headers: JSON_TYPE, body });
    return [response.status, await response.json()] as const;
  };
  const statisticsAt = async (path: string): Promise<ModelStatistics> => {
    const [status, body] = await get(path);
    expect(status).toBe(200);
    const { model_stats: models } = body as { model_stats: ModelStatistics[] };
    expect(models).toHaveLength(1);
    return models[0] as ModelStatistics;
  };

  it.each(['/v2/models/stats', '/v2/models/echo/stats', '/v2/models/echo/versions/1/stats'])('counts answers at %s', async (path) => {
    expect(await statisticsAt(path)).toMatchObject({ name: 'echo', version: '1', last_inference: 0, inference_count: 0, batch_stats: [] });
    // Runs of 3 rows, 2 of them from each request: the third row's caller is in another process.
    for (let i = 0; i < 3; i++) expect((await infer()).status).toBe(200);
    const { inference_stats: stats, ...counts } = await statisticsAt(path);
    const runs = { count: 2, ns: 0 };
    expect(counts).toEqual({
      name: 'echo',
      version: '1',
      last_inference: expect.any(Number) as number,
      inference_count: 6,
      execution_count: 2,
      response_stats: {},
      batch_stats: [{ batch_size: 3, compute_input: runs, compute_infer: { count: 2, ns: 5_000_000 }, compute_output: runs }],
      memory_usage: [],
    });
    expect(Math.abs(counts.last_inference - Date.now())).toBeLessThan(60_000);
    expect(stats.compute_infer).toEqual({ count: 3, ns: 7_500_000 });
    expect(stats.fail).toEqual({ count: 0, ns: 0 });
    const parts = [stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output];
    expect(parts.map(({ count }) => count)).toEqual([3, 3, 3, 3]);
    expect(stats.success.count).toBe(3);
    expect(stats.success.ns).toBeGreaterThanOrEqual(parts.reduce((sum, { ns }) => sum + ns, 0) - parts.length);
  });

  it('counts what was refused after its body was found good, and nothing else', async () => {
    backend.refusal = new InterleaveError('overloaded', 'full');
    expect((await infer()).status).toBe(429);
    const bad = await fetch(`${url}/v2/models/echo/infer`, { method: 'POST', headers: JSON_TYPE, body: '{}' });
    expect(bad.status).toBe(400);
    const { inference_stats: stats, inference_count: rows } = await statisticsAt('/v2/models/echo/stats');
    expect([stats.fail.count, stats.success.count, rows]).toEqual([1, 0, 0]);
    expect(stats.fail.ns).toBeGreaterThan(0);
  });

  it.each(['/v2/models/none/stats', '/v2/models/echo/versions/2/stats', '/v2/models/none/config', '/v2/models/none/versions/1/config'])(
    'answers 404 at %s',
    async (path) => {
      expect(await get(path)).toEqual([404, { error: expect.stringMatching(/none|"2"/) as string }]);
    },
  );

  it.each(['/v2/models/echo/config', '/v2/models/echo/versions/1/config'])('tells the configuration at %s', async (path) => {
    expect(await get(path)).toEqual([
      200,
      {
        name: 'echo',
        platform: 'onnxruntime_onnx',
        backend: 'onnxruntime',
        version_policy: { all: {} },
        max_batch_size: 32,
        input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [2] }],
        output: [{ name: 'y', data_type: 'TYPE_FP32', dims: [2] }],
        instance_group: [{ name: 'p0-realtime', kind: 'KIND_CPU', count: 1 }],
        default_model_filename: 'model.onnx',
        dynamic_batching: { preferred_batch_size: [], max_queue_delay_microseconds: 0 },
      },
    ]);
  });

  it('tells whole shapes and no batch size of a model whose outputs have no batch dimension', async () => {
    const [report] = backend.reports as [ModelReport];
    const output = { name: 'y', datatype: 'BYTES', shape: [4], axes: ['fixed'] } as const;
    const signature = { ...report.signature, outputs: [output], coalesce: 'alone' } as unknown as ModelReport['signature'];
    backend.report([{ ...report, signature }]);
    const [, config] = await get('/v2/models/echo/config');
    expect(config).toMatchObject({
      max_batch_size: 0,
      input: [{ dims: [-1, 2] }],
      output: [{ data_type: 'TYPE_STRING', dims: [4] }],
    });
    expect(config).not.toHaveProperty('dynamic_batching');
  });

  it('lists every version with its state', async () => {
    const [ready] = backend.reports as [ModelReport];
    backend.report([
      ready,
      { ...ready, version: '2', state: 'loading', signature: null },
      { ...ready, name: 'broken', state: 'failed', reason: 'it is broken', signature: null },
    ]);
    const entry = { name: 'echo', version: '1', state: 'READY', reason: '', revision: 1 };
    const all = [
      entry,
      { name: 'echo', version: '2', state: 'LOADING', reason: '' },
      { name: 'broken', version: '1', state: 'UNAVAILABLE', reason: 'it is broken' },
    ];
    expect(await index('')).toEqual([200, all]);
    expect(await index('{"ready": false}')).toEqual([200, all]);
    expect(await index('{"ready": true}')).toEqual([200, [entry]]);
  });

  it('reads the body that curl sends without being told its type', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(`${url}/v2/repository/index`, { method: 'POST', headers, body: '{"ready": true}' });
    expect(response.status).toBe(200);
  });

  it.each(['{"ready": 1}', '{"ready": 9223372036854775808}', '[]', '{"ready"'])('refuses the index request %s', async (body) => {
    expect(await index(body)).toEqual([400, { error: expect.stringMatching(/expected/) as string }]);
  });

  it('says where models are loaded that are asked for in another repository', async () => {
    const response = await fetch(`${url}/v2/repository/other/models/echo/load`, { method: 'POST' });
    expect([response.status, await response.json()]).toEqual([501, { error: expect.stringMatching(/repository\/models/) as string }]);
  });
});
