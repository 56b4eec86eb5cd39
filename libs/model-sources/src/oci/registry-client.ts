import { createHash } from 'node:crypto';
import { isLoopbackHost } from '@app/config';
import { z } from 'zod';
import { HttpClient, type HttpAnswer } from '../http/http-client';
import { skipTo } from '../http/skip-to';
import type { SourceLimits } from '../limits';
import { withRetries } from '../retry';
import { SourceError } from '../source-error';

const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const TOKEN_BYTES_MAX = 1024 * 1024;
const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];

const tokenSchema = z.object({ token: z.string().min(1).optional(), access_token: z.string().min(1).optional() });

/** The bytes of a manifest or an index, with their digest. */
export interface RawManifest {
  digest: string;
  text: string;
}

/**
 * Pulls from one repository of a registry, by the distribution specification of the OCI: manifests, blobs, and tokens as Docker's
 * registries give them. Registries of this machine are asked over http, all others over https.
 */
export class RegistryClient {
  private readonly http: HttpClient;
  private readonly base: string;
  private authorization: string | null = null;

  constructor(
    private readonly registry: string,
    private readonly repository: string,
    /** `user:password` in base64; null: none. */
    private readonly credentials: string | null,
    private readonly limits: SourceLimits,
  ) {
    this.http = new HttpClient(limits);
    this.base = `${isLoopbackHost(registry.replace(/:\d+$/, '')) ? 'http' : 'https'}://${registry}`;
  }

  /** `reference`: a tag or a digest. Rejects with a `SourceError` when the bytes do not have the digest that was asked for, or that the registry names. */
  manifest(reference: string): Promise<RawManifest> {
    return withRetries(this.limits.retryMs, async () => {
      const answer = await this.get(`manifests/${reference}`, { accept: MANIFEST_TYPES.join(', ') });
      if (answer.status !== 200) throw await this.refusal(answer, `the manifest ${reference}`);
      const text = await answer.text(MANIFEST_BYTES_MAX);
      const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
      const expected = reference.startsWith('sha256:') ? reference : (answer.headers.get('docker-content-digest') ?? digest);
      if (expected !== digest)
        throw new SourceError(
          `${this.name}: the manifest ${reference} was altered on its way: expected ${expected} but received ${digest}`,
        );
      return { digest, text };
    });
  }

  async blob(digest: string, start: number): Promise<AsyncIterable<Uint8Array>> {
    const answer = await this.get(`blobs/${digest}`, start === 0 ? {} : { range: `bytes=${start}-` });
    if (answer.status !== 200 && answer.status !== 206) throw await this.refusal(answer, `the layer ${digest}`);
    return skipTo(answer, start);
  }

  private get name(): string {
    return `oci://${this.registry}/${this.repository}`;
  }

  /** Once more with a token, where the registry asks for one. */
  private async get(path: string, headers: Record<string, string>): Promise<HttpAnswer> {
    const request = { url: `${this.base}/v2/${this.repository}/${path}`, headers };
    const answer = await this.http.get({ ...request, authorization: this.authorization });
    const challenge = answer.headers.get('www-authenticate');
    if (answer.status !== 401 || challenge === null) return answer;
    await answer.drop();
    this.authorization = await this.authorize(challenge);
    return this.http.get({ ...request, authorization: this.authorization });
  }

  private async authorize(challenge: string): Promise<string | null> {
    const [, scheme = '', rest = ''] = /^\s*(\w+)\s*(.*)$/s.exec(challenge) ?? [];
    const basic = this.credentials === null ? null : `Basic ${this.credentials}`;
    if (scheme.toLowerCase() !== 'bearer') return basic;
    const parameters = new Map([...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
    const url = this.tokenUrl(parameters.get('realm'), parameters.get('service'));
    const answer = await this.http.get({ url: url.href, authorization: basic });
    if (answer.status !== 200) throw await this.refusal(answer, `a token of ${url.host}`);
    const text = await answer.text(TOKEN_BYTES_MAX);
    const { token, access_token: other } = tokenSchema.catch({}).parse(parsed(text));
    const found = token ?? other;
    if (found === undefined) throw new SourceError(`${this.name}: ${url.host} gives no token`);
    return `Bearer ${found}`;
  }

  /** Credentials leave this machine encrypted, or go to the registry itself. */
  private tokenUrl(realm: string | undefined, service: string | undefined): URL {
    if (realm === undefined || !URL.canParse(realm))
      throw new SourceError(`${this.name}: the registry does not say where its tokens are given`);
    const url = new URL(realm);
    if (url.protocol !== 'https:' && url.origin !== this.base)
      throw new SourceError(
        `${this.name}: the registry wants tokens to be fetched from ${url.origin}; expected https or the registry itself`,
      );
    url.searchParams.set('scope', `repository:${this.repository}:pull`);
    if (service !== undefined) url.searchParams.set('service', service);
    return url;
  }

  private async refusal(answer: HttpAnswer, what: string): Promise<SourceError> {
    await answer.drop();
    const { status } = answer;
    const login = `run "docker login ${this.registry}", which writes the credentials that are read here (DOCKER_CONFIG)`;
    if (status === 401 || status === 403)
      return new SourceError(
        `${this.name}: the registry refuses ${what} (${status}) ${this.credentials === null ? `without credentials; ${login}` : 'with the credentials of DOCKER_CONFIG; check that they may pull it'}`,
      );
    if (status === 404) return new SourceError(`${this.name}: the registry does not have ${what} (404); check repository and tag`);
    return new SourceError(`${this.name}: the registry answers ${status} for ${what}`);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
