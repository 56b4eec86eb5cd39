import { mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { DocumentedAnswers } from '../testing/documented-answers';
import { apiOn, EchoBackend } from '../testing/fakes';
import { SharedRegions } from './shared-regions';

const JSON_TYPE = { 'content-type': 'application/json' };
const T = 'tenant';

describe('SharedRegions', () => {
  let folder: string;
  let regions: SharedRegions;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'il-shm-'));
    regions = new SharedRegions(folder);
    writeFileSync(join(folder, 'object'), Buffer.from([0, 1, 2, 3, 4, 5, 6, 7]));
  });
  afterEach(() => {
    regions.close();
    rmSync(folder, { recursive: true });
  });
  const part = (region: string, offset: number, bytes: number) => ({ region, offset, bytes, path: 'p' });

  it('reads and writes within a region', () => {
    regions.register(T, 'r', { key: '/object', offset: 2, byte_size: 4 });
    expect([...regions.read(T, part('r', 1, 3))]).toEqual([3, 4, 5]);
    regions.write(T, part('r', 0, 4), Uint8Array.of(9, 8));
    expect([...readFileSync(join(folder, 'object'))]).toEqual([0, 1, 9, 8, 4, 5, 6, 7]);
    expect(regions.status(T, 'r')).toEqual([{ name: 'r', key: '/object', offset: 2, byte_size: 4 }]);
  });

  it('knows where parts lie, whichever region names them', () => {
    writeFileSync(join(folder, 'other'), Buffer.alloc(8));
    regions.register(T, 'r', { key: '/object', byte_size: 8 });
    regions.register(T, 's', { key: 'object', offset: 2, byte_size: 4 });
    regions.register(T, 't', { key: 'other', byte_size: 8 });
    expect(regions.placeOf(T, part('s', 1, 2))).toEqual(regions.placeOf(T, part('r', 3, 2)));
    expect(regions.placeOf(T, part('t', 3, 2)).object).not.toBe(regions.placeOf(T, part('r', 3, 2)).object);
  });

  it.each([
    ['a path', { key: '../etc/passwd', byte_size: 1 }, 'key'],
    ['a folder', { key: '/a/b', byte_size: 1 }, 'key'],
    ['two slashes', { key: '//object', byte_size: 1 }, 'key'],
    ['the folder itself', { key: '.', byte_size: 1 }, 'key'],
    ['the folder above', { key: '/..', byte_size: 1 }, 'key'],
    ['a zero byte', { key: 'object\0', byte_size: 1 }, 'key'],
    ['an empty key', { key: '/', byte_size: 1 }, 'key'],
    ['no key', { byte_size: 1 }, 'key'],
    ['an object that is not there', { key: 'none', byte_size: 1 }, 'key'],
    ['a link', { key: 'link', byte_size: 1 }, 'key'],
    ['no size', { key: 'object' }, 'byte_size'],
    ['no bytes', { key: 'object', byte_size: 0 }, 'byte_size'],
    ['more than the object has', { key: 'object', byte_size: 9 }, 'byte_size'],
    ['more than is left', { key: 'object', offset: 5, byte_size: 4 }, 'byte_size'],
    ['an end out of range', { key: 'object', offset: Number.MAX_SAFE_INTEGER, byte_size: Number.MAX_SAFE_INTEGER }, 'byte_size'],
    ['a negative offset', { key: 'object', offset: -1, byte_size: 4 }, 'offset'],
    ['a fraction', { key: 'object', offset: 0.5, byte_size: 4 }, 'offset'],
    ['2^64', { key: 'object', byte_size: 18446744073709551616n }, 'byte_size'],
  ])('refuses %s', (_what, request, param) => {
    symlinkSync(join(folder, 'object'), join(folder, 'link'));
    expect(() => regions.register(T, 'r', request)).toThrow(expect.objectContaining({ code: 'invalid_request', param }) as Error);
    expect(regions.status(T, null)).toEqual([]);
  });

  it.each(['', 'a/b', '\n', 'x'.repeat(129), 'a b'])('refuses the name %j', (name) => {
    expect(() => regions.register(T, name, { key: 'object', byte_size: 1 })).toThrow(/1 to 128 letters/);
  });

  it.each([
    [0, 5],
    [4, 1],
    [5, 0],
    [1, Number.MAX_SAFE_INTEGER],
    [Number.MAX_SAFE_INTEGER, 1],
  ])('refuses a part from %d of %d bytes', (offset, bytes) => {
    regions.register(T, 'r', { key: 'object', offset: 2, byte_size: 4 });
    expect(() => regions.placeOf(T, part('r', offset, bytes))).toThrow(/of the 4 bytes/);
  });

  it('notices that the object became smaller, and does not make it larger again', () => {
    regions.register(T, 'r', { key: 'object', byte_size: 8 });
    truncateSync(join(folder, 'object'), 3);
    expect(() => regions.read(T, part('r', 0, 8))).toThrow(/smaller now/);
    expect(() => regions.write(T, part('r', 0, 8), new Uint8Array(8))).toThrow(/smaller now/);
    expect(readFileSync(join(folder, 'object'))).toHaveLength(3);
  });

  it('keeps tenants apart', () => {
    regions.register(T, 'r', { key: 'object', byte_size: 8 });
    expect(regions.status('other', null)).toEqual([]);
    expect(() => regions.status('other', 'r')).toThrow(/not registered/);
    expect(() => regions.placeOf('other', part('r', 0, 1))).toThrow(/expected a registered region/);
    regions.unregister('other', null);
    regions.register('other', 'r', { key: 'object', byte_size: 1 });
    regions.unregister('other', 'r');
    expect(regions.status(T, null)).toHaveLength(1);
  });

  it('takes a bounded number, and a name once', () => {
    for (let i = 0; i < 256; i++) regions.register(T, `r${i}`, { key: 'object', byte_size: 1 });
    expect(() => regions.register(T, 'r0', { key: 'object', byte_size: 1 })).toThrow(/registered already; unregister it/);
    expect(() => regions.register(T, 'more', { key: 'object', byte_size: 1 })).toThrow(/256 .* unregister some/);
    regions.unregister(T, null);
    regions.register(T, 'more', { key: 'object', byte_size: 1 });
  });
});

describe('infer requests with tensors in shared memory', () => {
  const answers = new DocumentedAnswers();
  let path: string;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;

  const open = async (sharedMemory: boolean): Promise<void> => {
    const base = apiOn(new EchoBackend());
    options = { ...base, config: { ...base.config, http: { ...base.config.http, sharedMemory } } };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    answers.watch();
  };
  beforeEach(() => {
    path = mkdtempSync('/dev/shm/il-test-');
    rmSync(path, { recursive: true });
    writeFileSync(path, new Uint8Array(Float32Array.of(1, 2, 3, 4, 0, 0, 0, 0).buffer));
  });
  afterEach(async () => {
    expect(await answers.faults()).toEqual([]);
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
    rmSync(path, { force: true });
  });

  const post = async (at: string, body: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(url + at, { method: 'POST', headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) });
    const text = await response.text();
    return [response.status, text === '' ? null : (JSON.parse(text) as unknown)] as const;
  };
  const register = () => post('/v2/systemsharedmemory/region/r/register', { key: basename(path), offset: 0, byte_size: 32 });
  const shared = (bytes: number, offset = 0) => ({
    shared_memory_region: 'r',
    shared_memory_byte_size: bytes,
    ...(offset > 0 && { shared_memory_offset: offset }),
  });
  const infer = (input: object, output: object, more: object = {}) =>
    post('/v2/models/echo/infer', {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], parameters: input, ...more }],
      outputs: [{ name: 'y', parameters: output }],
    });
  const floats = () => [...new Float32Array(Uint8Array.from(readFileSync(path)).buffer)];

  it('takes an input from there and puts an output there', async () => {
    await open(true);
    expect(await register()).toEqual([200, null]);
    expect((await (await fetch(`${url}/v2`)).json()) as object).toMatchObject({
      extensions: expect.arrayContaining(['system_shared_memory']) as unknown,
    });
    expect(await infer(shared(16), shared(16, 16))).toEqual([
      200,
      {
        model_name: 'echo',
        model_version: '1',
        outputs: [{ name: 'y', datatype: 'FP32', shape: [2, 2], parameters: shared(16, 16) }],
      },
    ]);
    expect(floats()).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
    const status = await fetch(`${url}/v2/systemsharedmemory/region/r/status`);
    expect(await status.json()).toEqual([{ name: 'r', key: basename(path), offset: 0, byte_size: 32 }]);
    expect(await post('/v2/systemsharedmemory/unregister', undefined)).toEqual([200, null]);
    expect(await (await fetch(`${url}/v2/systemsharedmemory/status`)).json()).toEqual([]);
  });

  const data = [1, 2, 3, 4];
  it.each([
    ['a size that the shape does not have', shared(12), {}, {}, /16 bytes.*received 12/],
    ['a part outside', shared(16, 24), {}, {}, /of the 32 bytes/],
    ['a region that is not registered', { ...shared(16), shared_memory_region: 'q' }, {}, {}, /"q"; register it first/],
    ['a region without a size', { shared_memory_region: 'r' }, {}, {}, /shared_memory_byte_size.*missing/],
    ['a size without a region', { shared_memory_byte_size: 16 }, {}, {}, /shared_memory_region.*missing/],
    ['data beside it', shared(16), {}, { data }, /neither data nor binary_data_size/],
    ['a region that is no name', { ...shared(16), shared_memory_region: 7 }, {}, {}, /name of a registered region/],
    ['a negative offset', { ...shared(16), shared_memory_offset: -4 }, {}, {}, /integer from 0/],
    ['an output that does not fit', {}, shared(12, 16), { data }, /at least 16 bytes.*"y".*received 12/],
    ['an output outside', {}, shared(16, 20), { data }, /of the 32 bytes/],
    ['an output in binary too', {}, { ...shared(16), binary_data: true }, { data }, /neither binary_data nor classification/],
    ['an output as classes', {}, { ...shared(16), classification: 1 }, { data }, /neither binary_data nor classification/],
  ])('refuses %s', async (_what, input, output, more, message) => {
    await open(true);
    await register();
    expect(await infer(input, output, more)).toEqual([400, { error: expect.stringMatching(message) as string }]);
    expect(floats()).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
  });

  it('is off by default, and says so', async () => {
    await open(false);
    const off = [501, { error: expect.stringMatching(/http\.sharedMemory: true/) as string }];
    expect(await register()).toEqual(off);
    expect(await infer(shared(16), {})).toEqual(off);
    expect(await infer({}, shared(16), { data })).toEqual(off);
    expect((await fetch(`${url}/v2/systemsharedmemory/status`)).status).toBe(501);
    expect((await (await fetch(`${url}/v2`)).json()) as object).not.toMatchObject({
      extensions: expect.arrayContaining(['system_shared_memory']) as unknown,
    });
  });

  it('is for callers on this machine', async () => {
    await open(true);
    await register();
    const answer = await post('/v2/systemsharedmemory/unregister', {}, { 'x-forwarded-for': '192.0.2.1' });
    expect(answer).toEqual([403, { error: expect.stringMatching(/on this machine/) as string }]);
  });

  it('counts what it reads as memory of the request', async () => {
    await open(true);
    await app.close();
    const http = { ...options.config.http, bodyBytesMax: 800 };
    app = await createServer({ ...options, config: { ...options.config, http } });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    writeFileSync(path, Buffer.alloc(4000));
    expect((await post('/v2/systemsharedmemory/region/r/register', { key: basename(path), byte_size: 4000 }))[0]).toBe(200);
    const rows = (count: number) =>
      post('/v2/models/echo/infer', {
        inputs: [{ name: 'x', datatype: 'FP32', shape: [count, 2], parameters: shared(count * 8) }],
        outputs: [{ name: 'y', parameters: shared(4000) }],
      });
    for (let i = 0; i < 3; i++) expect((await rows(300))[0]).toBe(200);
    expect((await rows(500))[0]).toBe(429);
    expect((await rows(300))[0]).toBe(200);
  });
});
