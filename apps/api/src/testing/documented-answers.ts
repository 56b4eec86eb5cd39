import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv2020, { type AnySchema } from 'ajv/dist/2020';

export const OPENAPI_FILE = join(__dirname, '../../../../docs/openapi.json');

type Responses = Record<string, { content?: Record<string, { schema: AnySchema }> }>;
interface OpenApi {
  paths: Record<string, Record<string, { responses: Responses }>>;
  components: { schemas: Record<string, AnySchema> };
}
interface Answer {
  method: string;
  url: string;
  response: Response;
}

/** Collects the answers to `fetch` between `watch` and `faults`, and holds them against docs/openapi.json. */
export class DocumentedAnswers {
  private answers: Answer[] = [];
  private readonly fetch = globalThis.fetch;
  private readonly document = closed(JSON.parse(readFileSync(OPENAPI_FILE, 'utf8'))) as OpenApi;
  private readonly ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  private readonly templates = Object.keys(this.document.paths)
    .sort((a, b) => parametersOf(a) - parametersOf(b) || b.length - a.length)
    .map((path) => ({ path, pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`) }));

  constructor() {
    this.ajv.addSchema(this.document as object, 'openapi');
  }

  watch(): void {
    globalThis.fetch = async (input, init) => {
      const response = await this.fetch(input, init);
      this.answers.push({ method: init?.method ?? 'GET', url: String(input), response: response.clone() });
      return response;
    };
  }

  /** One line per answer that the document does not describe, and what is wrong. Ends the watch. */
  async faults(): Promise<string[]> {
    globalThis.fetch = this.fetch;
    const answers = this.answers;
    this.answers = [];
    return (await Promise.all(answers.map((answer) => this.faultsOf(answer)))).flat();
  }

  private async faultsOf({ method, url, response }: Answer): Promise<string[]> {
    const pathname = new URL(url).pathname.replaceAll('%3A', ':');
    const path = this.templates.find(({ pattern }) => pattern.test(pathname))?.path;
    const operation = this.document.paths[path ?? '']?.[method.toLowerCase()];
    if (path === undefined || operation === undefined) return [];
    const name = `${method} ${path} ${response.status}`;
    const status = String(response.status) in operation.responses ? String(response.status) : 'default';
    if (!response.headers.get('content-type')?.startsWith('application/json')) return [];
    const pointer = ['paths', path, method.toLowerCase(), 'responses', status, 'content', 'application/json', 'schema'];
    const validate = this.ajv.getSchema(`openapi#/${pointer.map(escapePointer).join('/')}`);
    if (validate === undefined) return [`${name}: is not in the document`];
    if (validate(await response.json())) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${name}: ${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  }
}

/** A path without parameters comes before one that it fits, as in the router. */
const parametersOf = (path: string): number => path.split('{').length;

const escapePointer = (part: string): string => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));

/** The same with no object that may have keys which are not described. */
function closed(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(closed);
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return copy['type'] === 'object' && 'properties' in copy ? { additionalProperties: false, ...copy } : copy;
}
