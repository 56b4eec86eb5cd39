import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { addKey, keyFilePath } from '@app/access';
import { Value } from '@sinclair/typebox/value';
import type { TSchema } from '@sinclair/typebox';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { OPENAPI_FILE } from '../testing/documented-answers';
import { apiOn, EchoBackend } from '../testing/fakes';
import { GRANT } from '../../../../test/fixtures/key-grant';
import { SCHEMAS } from './schemas';

interface Operation {
  summary: string;
  operationId: string;
  security?: object[];
  responses: Record<string, { headers?: Record<string, unknown> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

/** Pages for browsers, and calls of Triton's that are answered with 501. */
const UNDOCUMENTED = /^\/(?:docs|dashboard|login|logout|admin\/queues)|^\/v2.*(?:\*|trace\/setting|logging|generate(?:_stream)?)$/;
/** A line of Fastify's tree of routes: its depth, its part of the path, its methods. */
const ROUTE = /^((?:[│ ] {3})*)[├└]── (\S+) \((.+)\)$/;

/** Every route of the running application, as the document writes it. */
function routesOf(app: NestFastifyApplication): { method: string; path: string }[] {
  const above: string[] = [];
  return app
    .getHttpAdapter()
    .getInstance()
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part = '', methods = ''] = ROUTE.exec(line) ?? [];
      const depth = indent.length / 4;
      above.splice(depth, Infinity, part);
      const path = above
        .join('')
        .replace(/(?<=\/):(\w+)(?:\([^)]*\))?/g, '{$1}')
        .replaceAll('::', ':');
      return part === '' ? [] : methods.split(', ').map((method) => ({ method: method.toLowerCase(), path }));
    })
    .filter(({ method }) => method !== 'head');
}

describe('the OpenAPI document', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let document: Document;
  let guardedOptions: ApiOptions;
  let guarded: NestFastifyApplication;
  let guardedUrl: string;

  beforeAll(async () => {
    guardedOptions = apiOn(new EchoBackend());
    await addKey(keyFilePath(guardedOptions.config.dataDir), GRANT);
    guarded = await createServer(guardedOptions);
    await guarded.listen(0, '127.0.0.1');
    guardedUrl = await guarded.getUrl();
    options = apiOn(new EchoBackend());
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    document = (await (await fetch(`${url}/docs-json`)).json()) as Document;
  });
  afterAll(async () => {
    await Promise.all([app.close(), guarded.close()]);
    for (const { config } of [options, guardedOptions]) rmSync(config.dataDir, { recursive: true });
  });

  it('is the committed docs/openapi.json; to write it anew: npm run openapi', () => {
    if (process.env['WRITE_OPENAPI'] === '1') writeFileSync(OPENAPI_FILE, `${JSON.stringify(document, null, 2)}\n`);
    expect(JSON.parse(readFileSync(OPENAPI_FILE, 'utf8'))).toEqual(document);
  });

  it('has every path that callers use, written as they use it', () => {
    expect(Object.keys(document.paths).sort()).toEqual([
      '/admin/log-level',
      '/fleet',
      '/metrics',
      '/rerank',
      '/v1/batches',
      '/v1/batches/{id}',
      '/v1/batches/{id}/cancel',
      '/v1/batches/{id}/events',
      '/v1/batches/{id}/log',
      '/v1/batches/{id}/pause',
      '/v1/batches/{id}/resume',
      '/v1/batches/{id}/retry',
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
      '/v1/uploads',
      '/v1/uploads/{id}',
      '/v1/uploads/{id}/cancel',
      '/v1/uploads/{id}/complete',
      '/v1/uploads/{id}/parts',
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
      '/v2/repository/models/{model}/load',
      '/v2/repository/models/{model}/unload',
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

  it('says of every route that asks for a key that it does, and of no other', async () => {
    expect(document.components.securitySchemes).toMatchObject({
      bearer: { type: 'http', scheme: 'bearer' },
      apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
    });
    const routes = routesOf(app).filter(({ path }) => !UNDOCUMENTED.test(path));
    const asked = await Promise.all(
      routes.map(async ({ method, path }) => {
        const { status } = await fetch(guardedUrl + path.replace(/\{\w+\}/g, 'x'), { method: method.toUpperCase() });
        return [`${method} ${path}`, status === 401];
      }),
    );
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, { security, responses }]) => {
        const isGuarded = security !== undefined;
        expect([method, path, security, '401' in responses, '403' in responses]).toEqual([
          method,
          path,
          isGuarded ? [{ bearer: [] }, { apiKey: [] }] : undefined,
          isGuarded,
          isGuarded,
        ]);
        return [`${method} ${path}`, isGuarded];
      }),
    );
    expect(documented.sort()).toEqual(asked.sort());
    expect(documented.filter(([, isGuarded]) => !isGuarded)).toEqual([
      ['get /v2/health/live', false],
      ['get /v2/health/ready', false],
    ]);
  });

  it('says when to try again and where a tenant stands, where that is answered', () => {
    for (const { responses } of Object.values(document.paths).flatMap((item) => Object.values(item))) {
      if (responses['429'] === undefined) continue;
      expect(Object.keys(responses['429'].headers ?? {})).toEqual(['Retry-After', 'RateLimit', 'RateLimit-Policy']);
      expect(Object.keys(responses['200']?.headers ?? {})).toEqual(['RateLimit', 'RateLimit-Policy']);
    }
    const limited = Object.keys(document.paths).filter((path) => document.paths[path]?.['post']?.responses['429'] !== undefined);
    expect(limited).toEqual(expect.arrayContaining(['/v1/embeddings', '/v1/rerank', '/v2/models/{model}/infer']));
  });

  it.each<[keyof typeof SCHEMAS, object]>([
    ['PredictRequest', { instances: [[1, 2]] }],
    ['PredictRequest', { instances: [1, 2] }],
    [
      'EmbeddingsRequest',
      { model: 'm', input: 'a', dimensions: null, encoding_format: null, user: null, truncate: null, input_type: null },
    ],
    ['EmbeddingsRequest', { model: 'm', input: 'a', prompt_name: null, service_tier: null, truncate_prompt_tokens: null }],
    ['RerankRequest', { model: 'm', query: { text: 'a' }, documents: ['b'], truncate: null }],
  ])('lets a %s be what the endpoint takes: %j', (name, body) => {
    expect([...Value.Errors(SCHEMAS[name] as TSchema, body)]).toEqual([]);
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
