import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Value } from '@sinclair/typebox/value';
import type { TSchema } from '@sinclair/typebox';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { OPENAPI_FILE } from '../testing/documented-answers';
import { apiOn, EchoBackend } from '../testing/fakes';
import { SCHEMAS } from './schemas';

interface Operation {
  summary: string;
  operationId: string;
  responses: Record<string, unknown>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
}

describe('the OpenAPI document', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let document: Document;

  beforeAll(async () => {
    options = apiOn(new EchoBackend());
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    document = (await (await fetch(`${url}/docs-json`)).json()) as Document;
  });
  afterAll(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  it('is the committed docs/openapi.json; to write it anew: npm run openapi', () => {
    if (process.env['WRITE_OPENAPI'] === '1') writeFileSync(OPENAPI_FILE, `${JSON.stringify(document, null, 2)}\n`);
    expect(JSON.parse(readFileSync(OPENAPI_FILE, 'utf8'))).toEqual(document);
  });

  it('has every path that callers use, written as they use it', () => {
    expect(Object.keys(document.paths).sort()).toEqual([
      '/fleet',
      '/metrics',
      '/rerank',
      '/v1/batches',
      '/v1/batches/{id}',
      '/v1/batches/{id}/cancel',
      '/v1/classify',
      '/v1/detokenize',
      '/v1/embeddings',
      '/v1/files',
      '/v1/files/{id}',
      '/v1/files/{id}/content',
      '/v1/models',
      '/v1/models/{model}',
      '/v1/models/{model}/versions/{version}:predict',
      '/v1/models/{model}:predict',
      '/v1/rerank',
      '/v1/tokenize',
      '/v2',
      '/v2/health/live',
      '/v2/health/ready',
      '/v2/models/stats',
      '/v2/models/{model}',
      '/v2/models/{model}/config',
      '/v2/models/{model}/infer',
      '/v2/models/{model}/ready',
      '/v2/models/{model}/stats',
      '/v2/models/{model}/versions/{version}',
      '/v2/models/{model}/versions/{version}/config',
      '/v2/models/{model}/versions/{version}/infer',
      '/v2/models/{model}/versions/{version}/ready',
      '/v2/models/{model}/versions/{version}/stats',
      '/v2/repository/index',
      '/v2/rerank',
      '/v2/systemsharedmemory/region/{region}/register',
      '/v2/systemsharedmemory/region/{region}/status',
      '/v2/systemsharedmemory/region/{region}/unregister',
      '/v2/systemsharedmemory/status',
      '/v2/systemsharedmemory/unregister',
      '/v3/discovery:endpoints',
    ]);
  });

  it('describes the answers of every operation, under an id of its own', () => {
    const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { summary, responses } of operations)
      expect([summary, responses['200']]).toEqual([
        expect.stringMatching(/\w/),
        expect.objectContaining({ content: expect.anything() as unknown }),
      ]);
  });

  it('refers only to schemas that it has', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name ?? '');
    expect(references.length).toBeGreaterThan(20);
    expect(references.filter((name) => !(name in document.components.schemas))).toEqual([]);
  });

  it.each(
    Object.entries(SCHEMAS as Record<string, TSchema>).flatMap(([name, schema]) =>
      ((schema.examples ?? []) as unknown[]).map((example) => [name, schema, example] as const),
    ),
  )('has an example of %s that fits its schema', (_name, schema, example) => {
    expect([...Value.Errors(schema, example)].map(({ path, message }) => `${path} ${message}`)).toEqual([]);
  });

  it('comes with a page that needs no other host', async () => {
    const page = await fetch(`${url}/docs`);
    expect([page.status, page.headers.get('content-security-policy')]).toEqual([200, expect.stringContaining("default-src 'self'")]);
    expect(await page.text()).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    expect((await (await fetch(`${url}/docs/swagger-ui-bundle.js`)).text()).length).toBeGreaterThan(100_000);
  });
});
