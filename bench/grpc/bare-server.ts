import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import Fastify from 'fastify';

/**
 * `bare-server KIND ANSWER_BYTES PATH`: answers POST to PATH with as many bytes, without looking at the request, and writes its
 * port to stdout. The floor of each protocol: what a server costs that does nothing.
 */
export type BareKind = 'fastify' | 'grpc-js' | 'http2';

const [kind = '', answerBytes = '', path = ''] = process.argv.slice(2);
const answer = Buffer.alloc(Number(answerBytes), 1);
const HOST = '127.0.0.1';

const starts: Record<BareKind, () => Promise<number>> = {
  fastify: async () => {
    const app = Fastify();
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    app.post(path, (_request, reply) => reply.type('application/octet-stream').send(answer));
    await app.listen({ host: HOST, port: 0 });
    return (app.server.address() as AddressInfo).port;
  },
  'grpc-js': () => {
    const server = new Server({ 'grpc.enable_channelz': 0 });
    const same = (bytes: Buffer): Buffer => bytes;
    const method = { path, requestStream: false, responseStream: false } as const;
    server.addService(
      { echo: { ...method, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same } },
      { echo: (_call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => callback(null, answer) },
    );
    return new Promise((resolve, reject) =>
      server.bindAsync(`${HOST}:0`, ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port))),
    );
  },
  http2: async () => {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(answer.length, 1);
    const message = Buffer.concat([prefix, answer]);
    const server = createServer().on('stream', (stream: ServerHttp2Stream) => {
      stream.once('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(message);
      });
      stream.resume();
    });
    server.listen(0, HOST);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
};

void starts[kind as BareKind]().then((port) => console.log(port));
