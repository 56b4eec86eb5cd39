import { connect, type Socket } from 'node:net';

const HEADER_END = Buffer.from('\r\n\r\n');

export interface RawResponse {
  status: number;
  head: string;
  body: Buffer;
}

/**
 * One keep-alive HTTP/1.1 connection that sends prepared bytes and reads `Content-Length` answers: the client's own cost
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
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? NaN);
    const end = headEnd + HEADER_END.length + length;
    if (!(this.received.length >= end)) return;
    const body = this.received.subarray(headEnd + HEADER_END.length, end);
    this.received = this.received.subarray(end);
    const { waiting } = this;
    this.waiting = null;
    waiting?.resolve({ status: Number(head.slice(9, 12)), head, body });
  }
}

/** The bytes of one POST request. */
export function postRequest(path: string, body: Buffer, headers: Record<string, string>): Buffer {
  const lines = Object.entries({ host: 'localhost', 'content-length': String(body.length), ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`), body]);
}
