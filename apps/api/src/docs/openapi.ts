import { VERSION } from '@app/contracts';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { SERVICE_TIERS } from '@app/protocols';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { SCHEMAS } from './schemas';
import { SECURITY_SCHEMES, withSecurity } from './security';

type Operation = { parameters?: object[]; operationId?: string; responses?: Record<string, { content?: object }> };

const PARAMETERS: Record<string, string> = {
  model: 'Name of a model of the repository',
  version: 'Version; without it the newest that is ready',
  id: 'Identifier as the server gave it',
  region: 'Name of a region of shared memory',
};

const LIVE_HEADERS = [
  {
    name: 'x-interleave-timeout-ms',
    in: 'header',
    required: false,
    description: 'Time for the answer; after it 504',
    schema: { type: 'integer', minimum: 1 },
  },
  {
    name: 'x-interleave-priority',
    in: 'header',
    required: false,
    description: '0 default, 1 highest, larger is lower',
    schema: { type: 'integer', minimum: 0 },
  },
  {
    name: 'x-interleave-degrade',
    in: 'header',
    required: false,
    description: '`never`: no other model and no old answer in place of the model',
    schema: { type: 'string', enum: ['never'] },
  },
  {
    name: 'x-interleave-service-tier',
    in: 'header',
    required: false,
    description: '`flex` runs in the batch lane; `priority` goes ahead in the live lane',
    schema: { type: 'string', enum: ['auto', ...SERVICE_TIERS] },
  },
];

/** Serves the document at `/docs` (page) and `/docs-json`; it is made on first use. */
export function serveDocs(app: NestFastifyApplication): void {
  let document: OpenAPIObject | null = null;
  SwaggerModule.setup('docs', app, () => (document ??= buildDocument(app)), {
    jsonDocumentUrl: 'docs-json',
    raw: ['json'],
    customSiteTitle: 'Interleave API',
  });
}

/** The OpenAPI 3.1 document of every route that is part of the API. */
function buildDocument(app: NestFastifyApplication): OpenAPIObject {
  const outline = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Interleave')
    .setVersion(VERSION)
    .setDescription(
      'Live predictions and offline batches of ONNX models on the same machine. Errors keep the shape of the protocol that a path belongs to.',
    )
    .build();
  const document = SwaggerModule.createDocument(app, outline, { autoTagControllers: false });
  const paths = Object.entries(document.paths).map(([path, item]) => [
    readablePath(path),
    withParameters(readablePath(path), item as Record<string, Operation>),
  ]);
  const schemas = { ...document.components?.schemas, ...JSON.parse(JSON.stringify(SCHEMAS)) } as Record<string, object>;
  return {
    ...document,
    paths: Object.fromEntries(paths) as OpenAPIObject['paths'],
    components: { ...document.components, schemas, securitySchemes: SECURITY_SCHEMES } as OpenAPIObject['components'],
  };
}

/** Fastify's escapes (`{model}(^.+)::predict`) back to the path that callers use. */
function readablePath(path: string): string {
  return path.replace(/\(\^?[^)]*\)/g, '').replaceAll('::', ':');
}

function withParameters(path: string, item: Record<string, Operation>): object {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: PARAMETERS[name] ?? name,
    schema: { type: 'string' },
  }));
  const live = /(:predict|\/(infer|embeddings|rerank|classify|tokenize|detokenize))$/.test(path) ? LIVE_HEADERS : [];
  return Object.fromEntries(
    Object.entries(item).map(([method, operation]) => {
      const others = (operation.parameters ?? []).filter((parameter) => (parameter as { in: string }).in !== 'path');
      return [
        method,
        {
          ...withSecurity(path, operation),
          operationId: `${method}${path.replace(/\W+(\w)?/g, (_match, letter: string | undefined) => letter?.toUpperCase() ?? '')}`,
          parameters: [...inPath, ...live, ...others],
        },
      ];
    }),
  );
}
