import { rmSync } from 'node:fs';
import { request as send, type IncomingHttpHeaders } from 'node:http';
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

const INFER = '/v2/models/echo/infer';
const ROWS = 3000;

/** An infer request whose tensor comes in binary, and its answer too. */
function binaryRequest(rows: number): { body: Buffer; headerBytes: number; tensor: Buffer } {
  const tensor = Buffer.from(Float32Array.from({ length: 2 * rows }, (_, i) => i % 7).buffer);
  const input = { name: 'x', datatype: 'FP32', shape: [rows, 2], parameters: { binary_data_size: tensor.length } };
  const json = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
  return { body: Buffer.concat([json, tensor]), headerBytes: json.length, tensor };
}
const jsonRequest = (rows: number): Buffer =>
  Buffer.from(
    JSON.stringify({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, 2], data: Array.from({ length: 2 * rows }, (_, i) => i % 7) }],
    }),
  );

describe('compression', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let port: number;

  const open = async (http: Partial<ApiOptions['config']['http']> = {}): Promise<void> => {
    const base = apiOn(new EchoBackend());
    options = { ...base, config: { ...base.config, http: { ...base.config.http, ...http } } };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    port = Number(new URL(await app.getUrl()).port);
  };
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  const call = (path: string, headers: Record<string, string>, body?: Buffer) =>
    new Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }>((resolve, reject) => {
      const request = send({ port, path, method: body ? 'POST' : 'GET', headers }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }));
      });
      request.on('error', reject).end(body);
    });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)('takes JSON and binary tensors in %s, whose lengths are those of the unpacked body', async (encoding, pack) => {
    await open();
    const json = await call(INFER, { 'content-encoding': encoding, 'content-type': 'application/json' }, pack(jsonRequest(3)));
    expect([json.status, JSON.parse(json.body.toString())]).toMatchObject([200, { outputs: [{ data: [0, 1, 2, 3, 4, 5] }] }]);
    const { body, headerBytes, tensor } = binaryRequest(ROWS);
    const headers = { 'content-encoding': encoding, 'inference-header-content-length': String(headerBytes) };
    const binary = await call(INFER, headers, pack(body));
    expect([binary.status, binary.body.subarray(-tensor.length).equals(tensor)]).toEqual([200, true]);
    const index = await call('/v2/repository/index', { 'content-encoding': encoding }, pack('{"ready": true}'));
    expect([index.status, JSON.parse(index.body.toString())]).toEqual([200, [expect.objectContaining({ name: 'echo' })]]);
  });

  it.each([
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
  ] as const)('answers in %s to those who accept it', async (encoding, unpack) => {
    await open();
    const { body, headerBytes, tensor } = binaryRequest(ROWS);
    const headers = { 'accept-encoding': encoding, 'inference-header-content-length': String(headerBytes) };
    const answer = await call(INFER, headers, body);
    expect([answer.status, answer.headers['content-encoding'], answer.headers.vary]).toEqual([200, encoding, 'accept-encoding']);
    expect(Number(answer.headers['content-length'])).toBe(answer.body.length);
    const unpacked = unpack(answer.body);
    expect(JSON.parse(unpacked.toString('utf8', 0, Number(answer.headers['inference-header-content-length'])))).toMatchObject({
      model_name: 'echo',
    });
    expect(unpacked.subarray(-tensor.length).equals(tensor)).toBe(true);
  });

  it('says that an answer would be another one in another encoding, and leaves short ones alone', async () => {
    await open();
    const plain = await call(INFER, { 'content-type': 'application/json' }, jsonRequest(ROWS * 3));
    expect([plain.headers['content-encoding'], plain.headers.vary]).toEqual([undefined, 'accept-encoding']);
    const short = await call('/v2', { 'accept-encoding': 'gzip' });
    expect([short.headers['content-encoding'], short.headers.vary]).toEqual([undefined, undefined]);
    const must = await call('/v2', { 'accept-encoding': 'gzip, identity;q=0' });
    expect(JSON.parse(gunzipSync(must.body).toString())).toMatchObject({ name: 'interleave' });
  });

  it.each([
    ['bodies over the limit once they are unpacked', { bodyBytesMax: 1000, jsonBytesMax: 1000 }, gzipSync(jsonRequest(ROWS)), 413],
    ['JSON over its limit once it is unpacked', { jsonBytesMax: 1000 }, gzipSync(jsonRequest(ROWS)), 413],
    ['a bomb', {}, gzipSync(Buffer.alloc(8_000_000, ' ')), 413],
    ['what is not compressed', {}, jsonRequest(1), 400],
    ['what goes on after its end', {}, Buffer.concat([gzipSync(jsonRequest(1)), Buffer.from('x')]), 400],
  ])('refuses %s', async (_what, limits, body, status) => {
    await open(limits);
    const answer = await call(INFER, { 'content-encoding': 'gzip', 'content-type': 'application/json' }, body);
    expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([status, { error: expect.any(String) as string }]);
  });
});
