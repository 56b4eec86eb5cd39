import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
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

  it('gives the bytes of many small parts in their order', async () => {
    const payload = new PassThrough();
    const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => i));
    const body = new BodyReader(limits).read(requestOf(), payload);
    for (const byte of bytes) payload.write(Buffer.of(byte));
    payload.end();
    expect(await body).toEqual(bytes);
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

  it('waits for a body that has arrived without a timer', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const arrived = Object.assign(new PassThrough().end('ab'), { complete: true });
    const body = new BodyReader(limits).read(requestOf(), arrived);
    expect(timers()).toBe(before);
    expect((await body).toString()).toBe('ab');
  });

  it('does not wait for ever for a body that was destroyed before it is read', async () => {
    const gone = Object.assign(new PassThrough().end('ab'), { complete: true });
    gone.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    await expect(new BodyReader(limits).read(requestOf(), gone)).rejects.toMatchObject({ code: 'request_timeout' });
  });

  it('refuses a body whose sender goes away', async () => {
    const payload = new PassThrough();
    const body = new BodyReader(limits).read(requestOf(), payload);
    payload.write('a');
    payload.destroy();
    await expect(body).rejects.toMatchObject({ code: 'invalid_request' });
  });

  describe('a compressed body', () => {
    const isHere = () => false;

    it('counts with what it unpacks to', async () => {
      const reader = new BodyReader(limits);
      const [first, second] = [requestOf(), requestOf()];
      const packed = await reader.read(first, new PassThrough().end(gzipSync(Buffer.alloc(90))));
      expect(first.heldBodyBytes).toBe(packed.byteLength);
      expect(await reader.unpack(first, packed, 'gzip', isHere)).toEqual(Buffer.alloc(90));
      expect(first.heldBodyBytes).toBe(90);
      const other = await reader.read(second, new PassThrough().end(gzipSync(Buffer.alloc(90))));
      await expect(reader.unpack(second, other, 'gzip', isHere)).rejects.toMatchObject({ code: 'overloaded' });
      expect(second.heldBodyBytes).toBe(0);
      reader.release(first);
      const third = requestOf();
      const last = await reader.read(third, new PassThrough().end(gzipSync(Buffer.alloc(100))));
      expect((await reader.unpack(third, last, 'gzip', isHere)).byteLength).toBe(100);
    });

    it('is refused when it unpacks to more than the limit', async () => {
      const reader = new BodyReader(limits);
      const request = requestOf();
      const packed = await reader.read(request, new PassThrough().end(gzipSync(Buffer.alloc(101))));
      await expect(reader.unpack(request, packed, 'gzip', isHere)).rejects.toMatchObject({ code: 'too_large' });
    });

    it('holds nothing for a caller that has gone', async () => {
      const reader = new BodyReader(limits);
      const request = requestOf();
      const packed = await reader.read(request, new PassThrough().end(gzipSync(Buffer.alloc(90))));
      reader.release(request);
      await expect(reader.unpack(request, packed, 'gzip', () => true)).rejects.toMatchObject({ code: 'client_closed' });
      expect(request.heldBodyBytes).toBe(0);
    });
  });
});
