import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { BodyReader } from '../http/body-reader';
import { HeldMemory } from './held-memory';

const READ_MS_MAX = 100;
const PATHS = { unary: '/test/Unary', stream: '/test/Stream' };
const raw = (bytes: Buffer): Buffer => bytes;
const method = (path: string, requestStream: boolean) => ({
  path,
  requestStream,
  responseStream: requestStream,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
});
/** A message of 4 bytes on the wire. */
const MESSAGE = Buffer.from([0, 0, 0, 0, 4, 1, 2, 3, 4]);

/** Against a server of grpc-js, whose private parts the class uses. */
describe('HeldMemory', () => {
  let server: grpc.Server;
  let session: ClientHttp2Session;
  let bodies: BodyReader;
  /** What grpc-js keeps of the message that comes. */
  let decoder: { readPartialMessage: Buffer[] } | null = null;

  beforeEach(() => start(READ_MS_MAX));
  afterEach(stop);

  async function start(readMsMax: number): Promise<void> {
    bodies = new BodyReader({ bodyBytesMax: 1000, jsonBytesMax: 1000, heldBytesMax: 1000, readMsMax: 1000 });
    const { interceptor } = new HeldMemory(bodies, 1000, readMsMax);
    const watched: grpc.ServerInterceptor = (descriptor, call) => {
      decoder = (call as unknown as { decoder: { readPartialMessage: Buffer[] } }).decoder;
      return interceptor(descriptor, call);
    };
    server = new grpc.Server({ interceptors: [watched] });
    server.addService({ Unary: method(PATHS.unary, false), Stream: method(PATHS.stream, true) }, {
      Unary: ({ request }: { request: Buffer }, callback: grpc.sendUnaryData<Buffer>) => callback(null, request),
      Stream: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => call.on('data', (message: Buffer) => call.write(message)),
    } as unknown as grpc.UntypedServiceImplementation);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
    );
    session = connect(`http://127.0.0.1:${port}`);
  }

  function stop(): void {
    session.destroy();
    server.forceShutdown();
  }

  function open(path: string): { stream: ClientHttp2Stream; status: Promise<number> } {
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
    const status = new Promise<number>((resolve) => {
      const take = (headers: object): void => {
        const code = (headers as Record<string, string | undefined>)['grpc-status'];
        if (code !== undefined) resolve(Number(code));
      };
      stream
        .on('response', take)
        .on('trailers', take)
        .on('error', () => undefined)
        .resume();
    });
    return { stream, status };
  }

  it.each(Object.entries(PATHS))('ends a call whose message stops half-way: %s', async (_name, path) => {
    const { stream, status } = open(path);
    stream.write(MESSAGE.subarray(0, 6));
    expect(await status).toBe(grpc.status.DEADLINE_EXCEEDED);
  });

  it('gives a stream as long as it likes between two messages', async () => {
    const { stream, status } = open(PATHS.stream);
    let bytes = 0;
    stream.on('data', (part: Buffer) => (bytes += part.length));
    stream.write(MESSAGE);
    await new Promise((resolve) => setTimeout(resolve, 3 * READ_MS_MAX));
    stream.write(MESSAGE);
    while (bytes < 2 * MESSAGE.length) await new Promise((resolve) => setTimeout(resolve, 5));
    stream.write(MESSAGE.subarray(0, 6));
    expect(await status).toBe(grpc.status.DEADLINE_EXCEEDED);
  });

  it('keeps few parts of a message that comes in frames of one byte', async () => {
    stop();
    await start(60_000);
    const { stream, status } = open(PATHS.unary);
    const message = Buffer.alloc(500, 7);
    message.writeUIntBE(message.length - 5, 0, 5);
    for (const byte of message.subarray(0, -1)) await new Promise((resolve) => stream.write(Buffer.of(byte), resolve));
    while (Buffer.concat(decoder?.readPartialMessage ?? []).length < message.length - 6)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(decoder?.readPartialMessage.length).toBeLessThan(64);
    let answer = Buffer.alloc(0);
    stream.on('data', (part: Buffer) => (answer = Buffer.concat([answer, part])));
    stream.end(message.subarray(-1));
    expect(await status).toBe(grpc.status.OK);
    expect(answer.equals(message)).toBe(true);
  });
});
