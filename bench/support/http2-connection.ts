import { connect, type Socket } from 'node:net';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const TYPE = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const ACK = 0x1;
const FRAME_HEAD_BYTES = 9;
const MESSAGE_HEAD_BYTES = 5;
const SETTING_INITIAL_WINDOW = 4;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** Of a connection, until the other side grants more. */
const WINDOW_BYTES = 65_535;

interface Waiting {
  bytes: number;
  resolve: (bytes: number) => void;
  reject: (error: Error) => void;
}

/**
 * One HTTP/2 connection that sends prepared gRPC calls, as `HttpConnection` does for HTTP/1.1: frames are counted, headers are
 * not decoded. An answer is good when a message came before the trailers: a call that fails has none. For answers of up to 2 GiB
 * together.
 */
export class Http2Connection {
  private received: Buffer = Buffer.alloc(0);
  private readonly waiting = new Map<number, Waiting>();
  private readonly unsent: (() => void)[] = [];
  private nextStream = 1;
  private windowBytes = WINDOW_BYTES;

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (part) => this.onData(part));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the server closed the connection')));
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(SETTING_INITIAL_WINDOW, 0);
    settings.writeUInt32BE(WINDOW_BYTES_MAX, 2);
    const grant = Buffer.alloc(4);
    grant.writeUInt32BE(WINDOW_BYTES_MAX - WINDOW_BYTES);
    socket.write(Buffer.concat([Buffer.from(PREFACE), frame(TYPE.settings, 0, 0, settings), frame(TYPE.windowUpdate, 0, 0, grant)]));
  }

  static open(address: string): Promise<Http2Connection> {
    const { hostname, port } = new URL(`http://${address}`);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(new Http2Connection(socket)));
      socket.once('error', reject);
    });
  }

  /** `headers`: a block as of `headerBlock`; `message`: as of `framedMessage`. Resolves with the bytes of the answer's message. */
  async send(headers: Buffer, message: Buffer): Promise<number> {
    while (!this.socket.destroyed && this.windowBytes < message.length) await new Promise<void>((resolve) => this.unsent.push(resolve));
    if (this.socket.destroyed) throw new Error('the server closed the connection');
    this.windowBytes -= message.length;
    const stream = this.nextStream;
    this.nextStream += 2;
    this.socket.write(Buffer.concat([frame(TYPE.headers, END_HEADERS, stream, headers), frame(TYPE.data, END_STREAM, stream, message)]));
    return new Promise((resolve, reject) => this.waiting.set(stream, { bytes: -MESSAGE_HEAD_BYTES, resolve, reject }));
  }

  close(): void {
    this.waiting.clear();
    this.socket.destroy();
  }

  private onData(part: Buffer): void {
    const bytes = this.received.length === 0 ? part : Buffer.concat([this.received, part]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (bytes.length < end) break;
      this.onFrame(
        bytes.readUInt8(at + 3),
        bytes.readUInt8(at + 4),
        bytes.readUInt32BE(at + 5),
        bytes.subarray(at + FRAME_HEAD_BYTES, end),
      );
      at = end;
    }
    this.received = bytes.subarray(at);
  }

  private onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === TYPE.data || type === TYPE.headers) this.onAnswer(type, flags, stream, payload);
    else if (type === TYPE.settings && flags !== ACK) this.socket.write(frame(TYPE.settings, ACK, 0, Buffer.alloc(0)));
    else if (type === TYPE.ping && flags !== ACK) this.socket.write(frame(TYPE.ping, ACK, 0, payload));
    else if (type === TYPE.windowUpdate && stream === 0) {
      this.windowBytes += payload.readUInt32BE(0);
      for (const send of this.unsent.splice(0)) send();
    } else if (type === TYPE.reset || type === TYPE.goAway) this.fail(new Error(`the server ended stream ${stream}`));
  }

  private onAnswer(type: number, flags: number, stream: number, payload: Buffer): void {
    const call = this.waiting.get(stream);
    if (call === undefined) return;
    if (type === TYPE.data) call.bytes += payload.length;
    if ((flags & END_STREAM) === 0) return;
    this.waiting.delete(stream);
    if (call.bytes > 0) call.resolve(call.bytes);
    else call.reject(new Error('the call failed'));
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
    for (const send of this.unsent.splice(0)) send();
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Headers that no table remembers, of at most 126 bytes each. */
export function headerBlock(headers: Record<string, string>): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat(Object.entries(headers).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** A gRPC message as it lies on the wire. */
export function framedMessage(message: Buffer): Buffer {
  const prefix = Buffer.alloc(MESSAGE_HEAD_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
