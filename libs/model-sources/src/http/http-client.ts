import type { SourceLimits } from '../limits';
import { SourceError, TransientError } from '../source-error';

const REDIRECTS_MAX = 5;
const REDIRECTS = [301, 302, 303, 307, 308];
const TRANSIENT = [408, 425, 429, 500, 502, 503, 504];

export interface HttpRequest {
  url: string;
  headers?: Record<string, string>;
  /** Value of the header; sent to the origin of `url` only, wherever the server redirects to. Null: none. */
  authorization: string | null;
}

/** An answer whose body is still to come: `bytes` or `text` must be called, or `drop`. */
export interface HttpAnswer {
  status: number;
  headers: Headers;
  /** Rejects with a `TransientError` when it breaks off or stays silent. */
  bytes(): AsyncIterable<Uint8Array>;
  /** The whole body; rejects with a `SourceError` for one of more than `bytesMax` bytes. */
  text(bytesMax: number): Promise<string>;
  drop(): Promise<void>;
}

/** GET with bounds on time and redirects. Names of hosts and paths are in errors, query strings and credentials are not. */
export class HttpClient {
  constructor(private readonly limits: Pick<SourceLimits, 'silentMsMax'>) {}

  /**
   * Resolves with whatever the server answers, except for what may be otherwise the next time: that, a lost connection and silence
   * reject with a `TransientError`.
   */
  async get({ url: first, headers = {}, authorization }: HttpRequest): Promise<HttpAnswer> {
    let url = webUrl(first, null);
    const { origin } = url;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const isAtHome = authorization !== null && url.origin === origin;
      const answer = await this.once(url, isAtHome ? { ...headers, authorization } : headers);
      const location = answer.headers.get('location');
      if (!REDIRECTS.includes(answer.status) || location === null) return answer;
      await answer.drop();
      url = webUrl(location, url);
    }
    throw new SourceError(`${nameOf(url)} redirects more than ${REDIRECTS_MAX} times`);
  }

  private async once(url: URL, headers: Record<string, string>): Promise<HttpAnswer> {
    const silence = new Silence(this.limits.silentMsMax);
    let response: Response;
    try {
      response = await fetch(url, { redirect: 'manual', headers: { 'accept-encoding': 'identity', ...headers }, signal: silence.signal });
    } catch (error) {
      silence.end();
      throw new TransientError(`${nameOf(url)} ${silence.reason(error)}`);
    }
    const answer = new Answer(url, response, silence);
    if (!TRANSIENT.includes(response.status)) return answer;
    await answer.drop();
    throw new TransientError(`${nameOf(url)} answers ${response.status}`, retryAfterMs(response.headers));
  }
}

class Answer implements HttpAnswer {
  readonly status: number;
  readonly headers: Headers;

  constructor(
    private readonly url: URL,
    private readonly response: Response,
    private readonly silence: Silence,
  ) {
    this.status = response.status;
    this.headers = response.headers;
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const part of this.response.body ?? []) {
        this.silence.end();
        yield part as Uint8Array;
        this.silence.begin();
      }
    } catch (error) {
      throw new TransientError(`${nameOf(this.url)} ${this.silence.reason(error)}`);
    } finally {
      this.silence.end();
    }
  }

  async text(bytesMax: number): Promise<string> {
    const parts: Uint8Array[] = [];
    let count = 0;
    for await (const part of this.bytes()) {
      count += part.length;
      if (count > bytesMax) throw new SourceError(`${nameOf(this.url)} answers with more than ${bytesMax} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts).toString('utf8');
  }

  async drop(): Promise<void> {
    this.silence.end();
    await this.response.body?.cancel().catch(() => undefined);
  }
}

/** Breaks a request off that stays silent for too long. */
class Silence {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly msMax: number) {
    this.begin();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  begin(): void {
    this.timer = setTimeout(() => this.controller.abort(), this.msMax);
  }

  end(): void {
    clearTimeout(this.timer);
  }

  reason(error: unknown): string {
    if (this.signal.aborted) return `was silent for ${this.msMax} ms`;
    const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
    return `cannot be reached or broke off (${cause?.code ?? cause?.message ?? message})`;
  }
}

/** Throws a `SourceError` for what is no address of the web, or leaves encryption. */
function webUrl(text: string, from: URL | null): URL {
  const url = URL.canParse(text, from?.href) ? new URL(text, from?.href) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new SourceError(`${from === null ? 'the source' : nameOf(from)} leads to no http(s) address`);
  if (from?.protocol === 'https:' && url.protocol === 'http:') throw new SourceError(`${nameOf(from)} redirects from https to http`);
  if (url.username !== '' || url.password !== '') throw new SourceError(`${nameOf(url)}: an address must not hold a user or a password`);
  return url;
}

const nameOf = ({ host, pathname }: URL): string => `${host}${pathname.slice(0, 200)}`;

/** Seconds or a date. */
function retryAfterMs(headers: Headers): number | null {
  const text = headers.get('retry-after');
  if (text === null) return null;
  const ms = /^\d{1,6}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? ms : null;
}
