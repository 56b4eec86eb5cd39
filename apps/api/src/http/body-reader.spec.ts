import { PassThrough } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { BodyReader } from './body-reader';

const requestOf = (headers: Record<string, string> = {}): FastifyRequest => ({ headers, heldBodyBytes: 0 }) as unknown as FastifyRequest;

describe('the body reader', () => {
  const limits = { bodyBytesMax: 100, jsonBytesMax: 100, heldBytesMax: 150, readMsMax: 20 };

  it('gives the bytes as they came, in one piece', async () => {
    const payload = new PassThrough();
    const body = new BodyReader(limits).read(requestOf(), payload);
    payload.write('ab');
    payload.end('cd');
    expect((await body).toString()).toBe('abcd');
  });

  it('refuses a body that grows over the limit as soon as it does', async () => {
    const payload = new PassThrough();
    const body = new BodyReader(limits).read(requestOf(), payload);
    payload.write(Buffer.alloc(101));
    await expect(body).rejects.toMatchObject({ code: 'too_large' });
  });

  it('refuses an announced length over the limit without reading', async () => {
    await expect(new BodyReader(limits).read(requestOf({ 'content-length': '101' }), new PassThrough())).rejects.toMatchObject({
      code: 'too_large',
    });
  });

  it('refuses bodies while others fill the memory for bodies, and takes them again after', async () => {
    const reader = new BodyReader(limits);
    const [first, second, third] = [requestOf(), requestOf(), requestOf()];
    const full = () => new PassThrough().end(Buffer.alloc(100));
    await reader.read(first, full());
    await expect(reader.read(second, full())).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 1 });
    for (const request of [first, first, second]) reader.release(request);
    expect((await reader.read(third, full())).byteLength).toBe(100);
  });

  it('gives up on a body that does not come to its end', async () => {
    const payload = new PassThrough();
    payload.write('a');
    await expect(new BodyReader(limits).read(requestOf(), payload)).rejects.toMatchObject({ code: 'request_timeout' });
  });

  it('refuses a body whose sender goes away', async () => {
    const payload = new PassThrough();
    const body = new BodyReader(limits).read(requestOf(), payload);
    payload.write('a');
    payload.destroy();
    await expect(body).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
