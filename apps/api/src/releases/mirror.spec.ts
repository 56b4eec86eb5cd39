import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, runPaths } from '@app/config';
import type { ModelComparison, PlacedRelease, Placement, PlacedVersion } from '@app/contracts';
import { openModelCatalog } from '@app/models';
import { writePlacement } from '@app/process';
import { createLogger } from '@app/telemetry';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { alterWeight } from '../../../../tools/model-builder/src/onnx-schema';
import { OrtBackend } from '../../../../test/fixtures/ort-backend';
import { LaneModule } from '../lane/lane.module';
import { createServer } from '../server';
import { Releases } from './releases';

const VERSIONS = ['1', '2', '3'];
const ENCODER = 'encoder-tiny';
const CLASSIFIER = 'classifier';
const MODELS = [ENCODER, CLASSIFIER];

/** The real runtime and real exports: version 2 is version 1 again, version 3 has one weight that differs. */
describe('mirrored requests', () => {
  const root = mkdtempSync(join(tmpdir(), 'mirror-'));
  const modelsDir = join(root, 'models');
  const logger = createLogger('test', 'silent');
  const config = loadConfig({
    DATA_DIR: root,
    LOG_LEVEL: 'fatal',
    PORT: '0',
    GRPC_PORT: '0',
    REDIS_URL: `unix://${join(root, 'no-redis.sock')}`,
  });
  let live: OrtBackend;
  let batch: OrtBackend;
  let app: NestFastifyApplication;
  let url: string;

  const placementOf = (mirror: PlacedRelease['mirror'], stable = '1', renewed: readonly string[] = []): Placement => ({
    formatVersion: 1,
    partitions: [],
    workers: [],
    versions: MODELS.flatMap((name) =>
      VERSIONS.map((version): PlacedVersion => {
        return {
          name,
          version,
          serving: revisionOf(name, version) + (renewed.includes(version) ? 100 : 0),
          next: null,
          state: 'serving',
          reason: null,
        };
      }),
    ),
    releases: MODELS.map((name) => ({ name, labels: { stable }, canary: null, mirror, rollback: null, promote: null })),
  });
  const revisionOf = (name: string, version: string): number =>
    live.models().find((model) => model.name === name && model.version === version)?.revision ?? 0;

  beforeAll(async () => {
    const built = join(root, 'built');
    buildModels(built, MODELS);
    const files = MODELS.flatMap((name) =>
      VERSIONS.map((version) => {
        const folder = join(modelsDir, name, version);
        cpSync(join(built, name), folder, { recursive: true });
        return { name, version, path: join(folder, 'model.onnx') };
      }),
    );
    const alter = (name: string, weight: string, value: number): void => {
      const path = join(modelsDir, name, '3/model.onnx');
      writeFileSync(
        path,
        alterWeight(readFileSync(path), weight, (values) => (values[0] = value)),
      );
    };
    alter(ENCODER, 'encoder.layer.1.norm.weight', 50);
    alter(CLASSIFIER, 'head.bias', 1000);
    [live, batch] = await Promise.all([OrtBackend.load(files), OrtBackend.load(files)]);
    mkdirSync(config.runDir, { recursive: true });
  });
  beforeAll(async () => {
    const placement = placementOf(null);
    writePlacement(runPaths(config.runDir).placement, placement);
    const catalog = await openModelCatalog(modelsDir, 'realtime', logger, { placement, onChange: () => undefined });
    catalog.applyReports(live.models());
    app = await createServer({ config, id: 'api', turn: null, logger, tracing: null, lane: LaneModule.of(live, batch, catalog) });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterAll(async () => {
    await app.close();
    await Promise.all([live.close(), batch.close()]);
    rmSync(root, { recursive: true, force: true });
  });

  /** What the scheduler says from now on. */
  async function mirror(rule: PlacedRelease['mirror']): Promise<void> {
    writePlacement(runPaths(config.runDir).placement, placementOf(rule));
    await until(() => (comparisonOf(ENCODER)?.version ?? null) === (rule?.version ?? null));
  }
  afterEach(() => mirror(null));

  async function until(isSo: () => boolean): Promise<void> {
    for (let turns = 0; turns < 2000 && !isSo(); turns++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isSo()).toBe(true);
  }

  const post = async (path: string, body: object): Promise<unknown> => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    return response.json();
  };
  const embed = (input: string[], options: object = {}) => post('/v1/embeddings', { model: ENCODER, input, ...options });
  const comparisonOf = (model: string): ModelComparison | undefined =>
    app
      .get(Releases)
      .comparisons()
      .find((comparison) => comparison.model === model);
  /** Once so many requests were compared or dropped. */
  const compared = async (model: string, requests: number): Promise<ModelComparison> => {
    await until(() => requests <= (comparisonOf(model)?.requests ?? 0) + (comparisonOf(model)?.dropped ?? 0));
    return comparisonOf(model) as ModelComparison;
  };
  const metric = async (line: string): Promise<string | undefined> =>
    (await (await fetch(`${url}/metrics`)).text()).split('\n').find((text) => text.startsWith(line));

  it('of equal models compare as equal to the last bit', async () => {
    await mirror({ version: '2', percent: 100 });
    await embed(['the first text', 'another one']);
    await embed(['the first text'], { encoding_format: 'base64' });
    await post('/v1/classify', { model: CLASSIFIER, input: ['good', 'bad', 'neither'] });
    await post(`/v1/models/${CLASSIFIER}:predict`, { instances: ['good'] });
    await post(`/v2/models/${ENCODER}/infer`, {
      inputs: [
        { name: 'input_ids', datatype: 'INT64', shape: [2, 3], data: [2, 7, 3, 2, 8, 3] },
        { name: 'attention_mask', datatype: 'INT64', shape: [2, 3], data: [1, 1, 1, 1, 1, 1] },
      ],
    });
    const same = { version: '2', stable: '1', role: 'mirror', dropped: 0, incomparable: 0, labelFlips: 0, largestDifference: 0 };
    expect(await compared(ENCODER, 3)).toMatchObject({ ...same, requests: 3, rows: 5, agreeing: 5, cosineMin: 1 });
    expect(await compared(CLASSIFIER, 2)).toMatchObject({ ...same, requests: 2, rows: 4, agreeing: 4, cosineMin: null });
    expect(await metric(`interleave_release_compared_rows_total{model="${ENCODER}",version="2",result="agree"}`)).toMatch(/ 5$/);
    expect(await metric(`interleave_release_shadow_requests_total{model="${ENCODER}",version="2",outcome="compared"}`)).toMatch(/ 3$/);
  });

  it('find a weight that differs', async () => {
    await mirror({ version: '3', percent: 100 });
    const answer = await embed(['the first text', 'another one']);
    await post('/v1/classify', { model: CLASSIFIER, input: ['good', 'bad'] });
    const vectors = await compared(ENCODER, 1);
    expect(vectors).toMatchObject({ rows: 2, agreeing: 0, incomparable: 0 });
    expect(vectors.cosineMin).toBeLessThan(0.999);
    expect(vectors.largestDifference).toBeGreaterThan(0.01);
    const labels = await compared(CLASSIFIER, 1);
    expect(labels.rows - labels.agreeing).toBe(labels.labelFlips);
    expect(labels.largestDifference).toBeGreaterThan(0);
    expect(await metric(`interleave_release_cosine_bucket{le="0.999",model="${ENCODER}",version="3"}`)).toMatch(/ 2$/);
    // Callers get the stable version's answer.
    await mirror(null);
    expect(await embed(['the first text', 'another one'])).toEqual(answer);
    expect(comparisonOf(ENCODER)).toBeUndefined();
  });

  it('are as many as the rule says, of requests to the stable version only', async () => {
    await mirror({ version: '2', percent: 25 });
    for (let i = 0; i < 8; i++) await embed([`text ${i}`]);
    for (let i = 0; i < 8; i++)
      await post(`/v2/models/${ENCODER}/versions/3/infer`, {
        inputs: [
          { name: 'input_ids', datatype: 'INT64', shape: [1, 3], data: [2, 7, 3] },
          { name: 'attention_mask', datatype: 'INT64', shape: [1, 3], data: [1, 1, 1] },
        ],
      });
    const statistics = async () => [
      await (await fetch(`${url}/v2/models/${ENCODER}/versions/1/stats`)).json(),
      /^interleave_request_seconds_count.*$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[0],
    ];
    const before = await statistics();
    await post('/v1/tokenize', { model: ENCODER, input: ['nothing runs'] });
    expect(await statistics()).toEqual(before);
    expect(await compared(ENCODER, 2)).toMatchObject({ requests: 2, rows: 2, agreeing: 2 });
  });

  it.each<[string, Parameters<typeof placementOf>]>([
    ['the mirrored version has other files', [{ version: '3', percent: 100 }, '1', ['3']]],
    ['the stable version has other files', [{ version: '3', percent: 100 }, '1', ['1']]],
    ['another version is stable', [{ version: '3', percent: 100 }, '2']],
  ])('are counted anew once %s', async (_case, then) => {
    await mirror({ version: '3', percent: 100 });
    await embed(['the first text', 'another one']);
    expect(await compared(ENCODER, 1)).toMatchObject({ requests: 1, rows: 2, stable: '1' });
    writePlacement(runPaths(config.runDir).placement, placementOf(...then));
    await until(() => comparisonOf(ENCODER)?.requests === 0);
    expect(comparisonOf(ENCODER)).toMatchObject({ rows: 0, agreeing: 0, cosineMin: null, stable: then[1] });
  });

  it('are dropped and counted where the mirrored version is not there', async () => {
    await mirror({ version: '4', percent: 100 });
    await embed(['a text']);
    expect(await compared(ENCODER, 1)).toMatchObject({ version: '4', requests: 0, dropped: 1, rows: 0 });
    expect(await metric(`interleave_release_shadow_requests_total{model="${ENCODER}",version="4",outcome="unavailable"}`)).toMatch(/ 1$/);
  });
});
