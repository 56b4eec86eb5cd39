import { connect, type Socket } from 'node:net';

const HEADER_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

export interface RawResponse {
  status: number;
  head: string;
  body: Buffer;
}

/**
 * One keep-alive HTTP/1.1 connection that sends prepared bytes and reads answers of known length or in chunks: the client's own cost
 * stays out of the figure. One request at a time.
 */
export class HttpConnection {
  private received: Buffer = Buffer.alloc(0);
  private waiting: { resolve: (response: RawResponse) => void; reject: (error: Error) => void } | null = null;

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (part) => this.onData(part));
    socket.on('error', (error) => this.waiting?.reject(error));
    socket.on('close', () => this.waiting?.reject(new Error('the server closed the connection')));
  }

  static open(url: string): Promise<HttpConnection> {
    const { hostname, port } = new URL(url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(new HttpConnection(socket)));
      socket.once('error', reject);
    });
  }

  send(request: Buffer): Promise<RawResponse> {
    return new Promise((resolve, reject) => {
      // One that was idle for too long before has no further event.
      if (this.socket.destroyed) return reject(new Error('the server closed the connection'));
      this.waiting = { resolve, reject };
      this.socket.write(request);
    });
  }

  /** False once the server has closed it, as many do with one that is idle. */
  get isOpen(): boolean {
    return !this.socket.destroyed && this.socket.readyState === 'open';
  }

  close(): void {
    this.waiting = null;
    this.socket.destroy();
  }

  /** Closes it; a request that waits for its answer fails. */
  abort(): void {
    this.socket.destroy();
  }

  private onData(part: Buffer): void {
    this.received = this.received.length === 0 ? part : Buffer.concat([this.received, part]);
    const headEnd = this.received.indexOf(HEADER_END);
    if (headEnd < 0) return;
    const head = this.received.toString('latin1', 0, headEnd);
    const parsed = bodyOf(head, this.received.subarray(headEnd + HEADER_END.length));
    if (parsed === null) return;
    const { body, bytes } = parsed;
    this.received = this.received.subarray(headEnd + HEADER_END.length + bytes);
    const { waiting } = this;
    this.waiting = null;
    waiting?.resolve({ status: Number(head.slice(9, 12)), head, body });
  }
}

/** The body that `received` begins with, and the bytes that it took; null: it is not complete. */
export function bodyOf(head: string, received: Buffer): { body: Buffer; bytes: number } | null {
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined)
    return received.length < Number(length) ? null : { body: received.subarray(0, Number(length)), bytes: Number(length) };
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = received.indexOf(LINE_END, at);
    if (lineEnd < 0) return null;
    const size = parseInt(received.toString('latin1', at, lineEnd), 16);
    const start = lineEnd + LINE_END.length;
    at = start + size + LINE_END.length;
    if (received.length < at) return null;
    if (size === 0) return { body: Buffer.concat(chunks), bytes: at };
    chunks.push(received.subarray(start, start + size));
  }
}

/** The bytes of one POST request. */
export function postRequest(path: string, body: Buffer, headers: Record<string, string>): Buffer {
  const lines = Object.entries({ host: 'localhost', 'content-length': String(body.length), ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`), body]);
}
