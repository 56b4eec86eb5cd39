import type { SourceSettings } from '@app/config';
import { HttpClient, type HttpAnswer } from './http/http-client';
import { skipTo } from './http/skip-to';
import type { SourceLimits } from './limits';
import type { ModelSource, SourceFile } from './model-source';
import { withRetries } from './retry';
import { checkPath } from './safe-path';
import { SourceError } from './source-error';
import type { ModelUri } from './uri';

const LIST_BYTES_MAX = 32 * 1024 * 1024;
const COMMIT = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

type HubUri = Extract<ModelUri, { kind: 'hf' }>;

/**
 * A repository of the Hugging Face hub, or of what speaks its API, at one commit. Rejects with a `SourceError`. The token goes to
 * the hub alone: not where it redirects to, and not to the address of a further page.
 */
export async function openHub(uri: HubUri, { url, token }: SourceSettings['hub'], limits: SourceLimits): Promise<ModelSource> {
  const hub = new Hub(uri, url, token, limits);
  const commit = await hub.commit();
  return {
    uri: `hf://${uri.repository}${uri.revision === null ? '' : `@${uri.revision}`}${uri.graph === null ? '' : `/${uri.graph}`}`,
    revision: commit,
    files: await hub.list(commit),
    open: (file, start) => hub.open(commit, file, start),
  };
}

class Hub {
  private readonly http: HttpClient;
  private readonly authorization: string | null;

  constructor(
    private readonly uri: HubUri,
    private readonly url: string,
    token: string | null,
    private readonly limits: SourceLimits,
  ) {
    this.http = new HttpClient(limits);
    this.authorization = token === null ? null : `Bearer ${token}`;
  }

  /** What the revision is now. */
  async commit(): Promise<string> {
    const { modelInfo } = await import('@huggingface/hub');
    const { repository, revision } = this.uri;
    const { sha } = await modelInfo({
      name: repository,
      revision: revision ?? 'main',
      additionalFields: ['sha'],
      hubUrl: this.url,
      fetch: this.fetch,
    });
    if (typeof sha === 'string' && COMMIT.test(sha)) return sha;
    throw new SourceError(`${this.url} does not say which commit ${repository} is at; expected 40 hexadecimal digits`);
  }

  async list(commit: string): Promise<SourceFile[]> {
    const { listFiles } = await import('@huggingface/hub');
    const { repository } = this.uri;
    const files: SourceFile[] = [];
    let entries = 0;
    for await (const entry of listFiles({
      repo: { type: 'model', name: repository },
      recursive: true,
      revision: commit,
      hubUrl: this.url,
      fetch: this.fetch,
    })) {
      entries += 1;
      if (entries > this.limits.filesMax) throw new SourceError(`hf://${repository} has more than ${this.limits.filesMax} files`);
      if (entry.type === 'file') files.push(this.fileOf(entry));
    }
    return files;
  }

  async open(commit: string, file: SourceFile, start: number): Promise<AsyncIterable<Uint8Array>> {
    const path = file.path.split('/').map(encodeURIComponent).join('/');
    const answer = await this.http.get({
      url: `${this.url}/${this.uri.repository}/resolve/${commit}/${path}`,
      headers: start === 0 ? {} : { range: `bytes=${start}-` },
      authorization: this.authorization,
    });
    if (answer.status !== 200 && answer.status !== 206) throw await this.refusal(answer, file.path);
    return skipTo(answer, start);
  }

  private fileOf({ path, size, oid, lfs }: { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } }): SourceFile {
    checkPath(path, `hf://${this.uri.repository}`);
    const bytes = lfs?.size ?? size;
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new SourceError(`${this.url} gives no length of ${path}`);
    if (lfs === undefined) return { path, bytes, ...(oid !== undefined && COMMIT.test(oid) ? { gitSha1: oid } : {}) };
    if (!SHA256.test(lfs.oid)) throw new SourceError(`${this.url} gives no SHA-256 of ${path}, which lies in its large file storage`);
    return { path, bytes, sha256: lfs.oid };
  }

  /** What the hub's library gets in place of the global one. Addresses of further pages must be the hub's own. */
  private readonly fetch = async (input: string | URL | Request): Promise<Response> => {
    const address = input instanceof Request ? input.url : String(input);
    if (!URL.canParse(address) || new URL(address).origin !== new URL(this.url).origin)
      throw new SourceError(
        `${this.url} names another host for a part of its list of files; set HF_ENDPOINT to the address that the hub itself uses`,
      );
    return withRetries(this.limits.retryMs, async () => {
      const answer = await this.http.get({ url: address, headers: { accept: 'application/json' }, authorization: this.authorization });
      if (answer.status !== 200) throw await this.refusal(answer, null);
      const body = await answer.text(LIST_BYTES_MAX);
      if (!isJson(body)) throw new SourceError(`${this.url} answers with something else than JSON; is HF_ENDPOINT the address of a hub?`);
      return new Response(body, { headers: answer.headers });
    });
  };

  private async refusal(answer: HttpAnswer, path: string | null): Promise<SourceError> {
    await answer.drop();
    const { repository, revision } = this.uri;
    const code = answer.headers.get('x-error-code') ?? '';
    const what = path === null ? repository : `${path} of ${repository}`;
    const token =
      this.authorization === null ? 'without a token; set HF_TOKEN' : 'with the token of HF_TOKEN; take one whose account may read it';
    if (code === 'GatedRepo' || answer.status === 403)
      return new SourceError(
        `the hub refuses ${what} (${answer.status}) ${token}. If it is gated, accept its terms at ${this.url}/${repository} first`,
      );
    if (answer.status === 401)
      return new SourceError(`the hub does not show ${what} (401) ${token}, or correct the name if there is no such repository`);
    if (code === 'RevisionNotFound')
      return new SourceError(`${repository} has no revision ${revision ?? 'main'}; give a branch, a tag or a commit of it`);
    if (answer.status === 404)
      return new SourceError(`${this.url} has no ${what}${revision === null ? '' : ` at ${revision}`} (404); check the name`);
    return new SourceError(`${this.url} answers ${answer.status} for ${what}`);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
