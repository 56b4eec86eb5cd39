import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A real HTTP server of a test, which notes what it is asked. */
export class WebServer {
  /** Instead of the handler, for what a test wants to go wrong; false: the handler answers. */
  before: (request: IncomingMessage, response: ServerResponse, url: URL) => boolean = () => false;
  readonly requests: { path: string; authorization: string | undefined; range: string | undefined }[] = [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(handler: Handler): Promise<WebServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const web = new WebServer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request, response) => {
      const url = new URL(request.url ?? '/', web.url);
      const { authorization, range } = request.headers;
      web.requests.push({ path: url.pathname, authorization, range });
      if (!web.before(request, response, url)) handler(request, response, url);
    });
    return web;
  }

  get host(): string {
    return new URL(this.url).host;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Answers with `content`, or with the part of it that is asked for. */
export function sendFile(request: IncomingMessage, response: ServerResponse, content: Uint8Array): void {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const rest = content.subarray(start);
  const range = start === 0 ? {} : { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` };
  response.writeHead(start === 0 ? 200 : 206, { 'content-length': rest.length, ...range }).end(rest);
}

export function sendJson(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}
