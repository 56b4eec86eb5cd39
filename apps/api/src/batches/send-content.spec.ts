import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOCAL_FILES, readBuffers, type FileRecord } from '@app/batches';
import fastify from 'fastify';
import { sendContent } from './send-content';

const BYTES = 5 * 1024 * 1024 + 12_345;

describe('the content of a file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'il-content-'));
  const path = join(dir, 'content');
  const content = randomBytes(BYTES);
  const record = { bytes: BYTES, filename: 'a.jsonl' } as FileRecord;
  const app = fastify();
  let port = 0;

  beforeAll(async () => {
    writeFileSync(path, content);
    app.get('/', (request, reply) => {
      const read = (start: number, end: number) => Readable.from(LOCAL_FILES.read(path, { start, end }), { objectMode: false });
      return sendContent(request, reply, { record, read });
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    port = (app.server.address() as AddressInfo).port;
  });
  afterAll(async () => {
    await app.close();
    rmSync(dir, { recursive: true });
  });

  const fetchSlowly = async (first: number, end: number, pauseMs: number): Promise<string> => {
    const headers = { range: `bytes=${first}-${end - 1}` };
    const response = await new Promise<IncomingMessage>((resolve, reject) =>
      get({ port, host: '127.0.0.1', headers }, resolve).on('error', reject),
    );
    const hash = createHash('sha256');
    for await (const part of response as AsyncIterable<Buffer>) {
      hash.update(part);
      if (pauseMs > 0) await sleep(pauseMs);
    }
    return hash.digest('hex');
  };

  it('is whole for callers of any speed, who are served from the same buffers', async () => {
    const take = jest.spyOn(readBuffers, 'take');
    const callers = Array.from({ length: 12 }, (_, i) => ({ first: i * 1000, end: BYTES - i * 77_777, pauseMs: i % 4 }));
    const fetched = await Promise.all(callers.map(({ first, end, pauseMs }) => fetchSlowly(first, end, pauseMs)));
    const taken = take.mock.results.map(({ value }) => (value as Buffer).buffer);
    take.mockRestore();
    expect(fetched).toEqual(callers.map(({ first, end }) => createHash('sha256').update(content.subarray(first, end)).digest('hex')));
    expect(new Set(taken).size).toBeLessThan(taken.length / 2);
  });

  it.each([
    ['GET', { range: 'bytes=3-9' }, 206, 7],
    ['GET', { range: 'bytes=3-9', 'if-range': '"of-another-file"' }, 200, BYTES],
    ['HEAD', { range: 'bytes=3-9' }, 200, BYTES],
  ] as const)('%s with %j is answered by %d with %d bytes', async (method, headers, status, byteCount) => {
    const response = await fetch(`http://127.0.0.1:${port}/`, { method, headers });
    await response.arrayBuffer();
    expect([response.status, Number(response.headers.get('content-length'))]).toEqual([status, byteCount]);
  });

  it('of a caller who goes away harms nobody', async () => {
    const whole = fetchSlowly(0, BYTES, 1);
    for (let i = 0; i < 20; i++) {
      const leaving = get({ port, host: '127.0.0.1' }, (response) => response.once('data', () => leaving.destroy())).on(
        'error',
        () => undefined,
      );
      await sleep(5);
    }
    expect(await whole).toBe(createHash('sha256').update(content).digest('hex'));
  });
});
