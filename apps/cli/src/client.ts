import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { clientTls, serverKey, serverUrl } from '@app/config';
import type { BatchObject, FileObject } from '@app/contracts';
import { CliError, ServerRefusal, Unreachable } from './cli-error';
import { send, type Outgoing } from './send';

/** One page of an OpenAI-compatible list. */
export interface ListPage<T> {
  data: T[];
  has_more?: boolean;
}

/** Where a server is, and what it is shown. */
export interface Server {
  url: string;
  /** Not the key itself: other users of the machine see the arguments of a command. */
  apiKeyFile?: string;
}

/** 8 s in all: the server lets a second request with a key go on 5 s after the first. */
const ONCE_TRIES_MAX = 6;
const ONCE_RETRY_MS = 250;
const CONFLICT = 409;
const HTTP_URL = /^https?:\/\//i;

/** Adds the options of `Server` to a command that talks to one. */
export function withServer(command: Command): Command {
  return command
    .option('--url <url>', "address of the server (or INTERLEAVE_URL; default: HOST and PORT of this machine's node)")
    .option('--api-key-file <file>', 'file with the API key (or the key in INTERLEAVE_API_KEY)')
    .hook('preAction', (self) => void (self.getOptionValue('url') ?? self.setOptionValue('url', serverUrl())));
}

/** The server's HTTP interface, with errors as one clear line. */
export class ApiClient {
  private readonly base: string;
  private readonly key: string | null;

  constructor({ url, apiKeyFile }: Server) {
    if (!HTTP_URL.test(url) || !URL.canParse(url))
      throw new CliError(`expected an address like http://127.0.0.1:8080 but received "${url}"`);
    this.base = url.replace(/\/+$/, '');
    this.key = serverKey(apiKeyFile);
  }

  get address(): string {
    return this.base;
  }

  async get<T>(path: string): Promise<T> {
    return (await (await this.send(path)).json()) as T;
  }

  async post<T>(path: string, body: object = {}, headers: Record<string, string> = {}): Promise<T> {
    const response = await this.send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return (await response.json()) as T;
  }

  /** Asks again when no answer came, and while the server is still at it: it knows by the key what it has done already. */
  async postOnce<T>(path: string, body: object): Promise<T> {
    const headers = { 'idempotency-key': randomUUID() };
    for (let tries = 1; ; tries++) {
      try {
        return await this.post<T>(path, body, headers);
      } catch (error) {
        const isInWork = tries > 1 && error instanceof ServerRefusal && error.status === CONFLICT;
        if (tries === ONCE_TRIES_MAX || !(error instanceof Unreachable || isInWork)) throw error;
        await sleep(ONCE_RETRY_MS * 2 ** (tries - 1));
      }
    }
  }

  async postBytes<T>(path: string, bytes: Buffer, headers: Record<string, string>): Promise<T> {
    const response = await this.send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(bytes.length), ...headers },
      body: Readable.from([bytes], { objectMode: false }),
    });
    return (await response.json()) as T;
  }

  async delete(path: string): Promise<void> {
    await (await this.send(path, { method: 'DELETE' })).text();
  }

  /** A stream of server-sent events, empty when there are none after the one of `lastId`. */
  async openEvents(path: string, lastId: string, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const headers = { accept: 'text/event-stream', ...(lastId !== '' && { 'last-event-id': lastId }) };
    const { body } = await this.send(path, { headers, ...(signal === undefined ? {} : { signal }) });
    return body ?? new ReadableStream({ start: (controller) => controller.close() });
  }

  /** Streams a batch input file of any size to the server. */
  async upload(filename: string, content: Readable): Promise<FileObject> {
    const query = new URLSearchParams({ purpose: 'batch', filename });
    const response = await this.send(`/v1/files?${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: content,
    });
    return (await response.json()) as FileObject;
  }

  /** Streams the content of a file to `path`, or to standard output when it is `-`. */
  async download(fileId: string, path: string): Promise<void> {
    const response = await this.send(`/v1/files/${encodeURIComponent(fileId)}/content`);
    if (!response.body) throw new CliError(`${this.base} sent no content for ${fileId}`);
    const content = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
    if (path === '-') await pipeline(content, process.stdout, { end: false });
    else await pipeline(content, createWriteStream(path));
  }

  batch(id: string): Promise<BatchObject> {
    return this.get(`/v1/batches/${encodeURIComponent(id)}`);
  }

  file(id: string): Promise<FileObject> {
    return this.get(`/v1/files/${encodeURIComponent(id)}`);
  }

  private async send(path: string, outgoing: Outgoing = {}): Promise<Response> {
    let response: Response;
    try {
      const headers = { ...outgoing.headers, ...(this.key !== null && { authorization: `Bearer ${this.key}` }) };
      response = await send(this.base + path, { ...outgoing, headers }, clientTls());
    } catch (error) {
      throw new Unreachable(`${this.base} cannot be reached (${reasonOf(error)}); ${remedyOf(error)}`);
    }
    if (response.status === 401)
      throw new CliError(`${this.base} asks for an API key; set INTERLEAVE_API_KEY or --api-key-file to a valid one`);
    if (!response.ok) throw new ServerRefusal(response.status, await refusal(response));
    return response;
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}

/** Of an authority that is not known, a name that is not in the certificate, a certificate that is out of date, a file of ours. */
const TLS_TRUST = /CERT|ISSUER|SIGNED|ALTNAME|ENOENT|^ERR_OSSL/;

function remedyOf(error: unknown): string {
  const reason = reasonOf(error);
  if (TLS_TRUST.test(reason))
    return 'name the file with its authority in INTERLEAVE_CA_FILE, call it by a name of its certificate (--url), and where it asks for a certificate set INTERLEAVE_CERT_FILE and INTERLEAVE_KEY_FILE';
  return 'start a server with `interleave up`, or name another with --url';
}

/** The message out of either protocol's error shape. */
async function refusal(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error?: string | { message?: string } };
    const message = typeof error === 'string' ? error : error?.message;
    if (message) return `${message} (status ${response.status})`;
  } catch {
    // not JSON: shown as it came
  }
  return `status ${response.status}: ${text.slice(0, 500)}`;
}
