import { existsSync, readdirSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '@app/config';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import OpenAI, { toFile } from 'openai';
import { createServer, type ApiOptions } from '../server';
import { DocumentedAnswers } from '../testing/documented-answers';
import { apiOn, EchoBackend } from '../testing/fakes';

const ROW = '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}\n';
const LIMITS = { fileBytesMax: 200_000, rowsMax: 50, rowBytesMax: 100_000, diskFreeBytesMin: 0 };

describe('/v1/files and /v1/batches, without Redis', () => {
  const answers = new DocumentedAnswers();
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let client: OpenAI;

  beforeEach(() => answers.watch());
  afterEach(async () => {
    expect(await answers.faults()).toEqual([]);
  });
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function open(limits: Partial<Config['batch']> = {}): Promise<void> {
    const base = apiOn(new EchoBackend());
    const config = { ...base.config, batch: { ...base.config.batch, ...LIMITS, ...limits } };
    options = { ...base, config };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  }

  const namesIn = (folder: string): string[] => {
    const path = join(options.config.dataDir, folder);
    return existsSync(path) ? readdirSync(path) : [];
  };
  const stored = () => [...namesIn('files'), ...namesIn('tmp')];
  const uploadRow = async () => client.files.create({ purpose: 'batch', file: await toFile(Buffer.from(ROW), 'rows.jsonl') });
  const asJson = async (response: Response) =>
    [response.status, (await response.json()) as { error: { message: string; param: string | null; code: string } }] as const;
  const createBatch = (body: unknown) =>
    fetch(`${url}/v1/batches`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  function form(fields: [string, string | Blob][]): FormData {
    const data = new FormData();
    for (const [name, value] of fields) {
      if (typeof value === 'string') data.append(name, value);
      else data.append(name, value, 'rows.jsonl');
    }
    return data;
  }

  describe('with the official client', () => {
    beforeEach(() => open());

    it('stores, shows, lists, gives back and deletes a file', async () => {
      const file = await client.files.create({
        purpose: 'batch',
        file: await toFile(Buffer.from(ROW), 'rows.jsonl'),
        expires_after: { anchor: 'created_at', seconds: 3600 },
      });
      expect(file).toMatchObject({
        object: 'file',
        bytes: ROW.length,
        filename: 'rows.jsonl',
        purpose: 'batch',
        status: 'processed',
        expires_at: file.created_at + 3600,
      });
      expect(await client.files.waitForProcessing(file.id)).toEqual(file);
      expect(await (await client.files.content(file.id)).text()).toBe(ROW);
      expect((await client.files.list({ purpose: 'batch' })).data).toEqual([file]);
      expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
      await expect(client.files.retrieve(file.id)).rejects.toMatchObject({ status: 404, code: 'not_found' });
      expect(stored()).toEqual([]);
    });

    it('goes through pages of files', async () => {
      for (let i = 0; i < 5; i++) await uploadRow();
      const ids: string[] = [];
      for await (const file of client.files.list({ limit: 2, order: 'asc' })) ids.push(file.id);
      expect(ids).toHaveLength(5);
      expect(ids).toEqual([...ids].sort());
    });

    it('creates, shows, lists and cancels a batch', async () => {
      const file = await uploadRow();
      const batch = await client.batches.create({
        input_file_id: file.id,
        endpoint: '/v1/embeddings',
        completion_window: '24h',
        metadata: { team: 'search' },
      });
      expect(batch).toMatchObject({
        object: 'batch',
        status: 'validating',
        endpoint: '/v1/embeddings',
        input_file_id: file.id,
        expires_at: batch.created_at + 86_400,
        metadata: { team: 'search' },
      });
      expect(await client.batches.retrieve(batch.id)).toMatchObject({ interleave: { paused: 'Redis is not reachable' } });
      expect(await client.batches.retrieve(batch.id)).toEqual(batch);
      expect((await client.batches.list()).data).toEqual([batch]);
      await expect(client.files.delete(file.id)).rejects.toMatchObject({ status: 409 });
      const cancelling = await client.batches.cancel(batch.id);
      expect(cancelling.status).toBe('cancelling');
      expect(await client.batches.cancel(batch.id)).toEqual(cancelling);
    });
  });

  describe('uploads', () => {
    it.each([
      [
        'the file first',
        [
          ['file', new Blob([ROW])],
          ['purpose', 'batch'],
        ],
      ],
      [
        'the purpose first',
        [
          ['purpose', 'batch'],
          ['file', new Blob([ROW])],
        ],
      ],
    ] as [string, [string, string | Blob][]][])('takes a form with %s', async (_what, fields) => {
      await open();
      const response = await fetch(`${url}/v1/files`, { method: 'POST', body: form(fields) });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ bytes: ROW.length });
    });

    it('takes the rows themselves as the body', async () => {
      await open();
      const query = 'purpose=batch&filename=mine.jsonl&expires_after[anchor]=created_at&expires_after[seconds]=7200';
      const response = await fetch(`${url}/v1/files?${query}`, {
        method: 'POST',
        body: ROW,
        headers: { 'content-type': 'application/x-ndjson' },
      });
      const file = (await response.json()) as { created_at: number };
      expect(file).toMatchObject({ filename: 'mine.jsonl', bytes: ROW.length, expires_at: file.created_at + 7200 });
    });

    const blob = new Blob([ROW]);
    it.each([
      ['no purpose', [['file', blob]], 400, 'purpose'],
      [
        'another purpose',
        [
          ['purpose', 'fine-tune'],
          ['file', blob],
        ],
        400,
        'purpose',
      ],
      ['no file', [['purpose', 'batch']], 400, 'file'],
      [
        'a file under another name',
        [
          ['purpose', 'batch'],
          ['data', blob],
        ],
        400,
        'file',
      ],
      [
        'a life that is too short',
        [
          ['purpose', 'batch'],
          ['file', blob],
          ['expires_after[anchor]', 'created_at'],
          ['expires_after[seconds]', '10'],
        ],
        400,
        'expires_after.seconds',
      ],
      [
        'a life without an anchor',
        [
          ['purpose', 'batch'],
          ['file', blob],
          ['expires_after[seconds]', '7200'],
        ],
        400,
        'expires_after.anchor',
      ],
      [
        'too many bytes',
        [
          ['purpose', 'batch'],
          ['file', new Blob(['\n'.repeat(200_001)])],
        ],
        413,
        'file',
      ],
      [
        'a row that is too long',
        [
          ['purpose', 'batch'],
          ['file', new Blob(['x'.repeat(100_001)])],
        ],
        413,
        'file',
      ],
      [
        'too many rows',
        [
          ['purpose', 'batch'],
          ['file', new Blob(['{}\n'.repeat(51)])],
        ],
        413,
        'file',
      ],
    ] as [string, [string, string | Blob][], number, string][])('refuses %s and keeps nothing', async (_what, fields, status, param) => {
      await open();
      const [answered, { error }] = await asJson(await fetch(`${url}/v1/files`, { method: 'POST', body: form(fields) }));
      expect([answered, error.param]).toEqual([status, param]);
      expect(error.message).toEqual(expect.any(String));
      expect(stored()).toEqual([]);
    });

    it.each([
      ['JSON', 'application/json', '{}', 415],
      [
        'a form that breaks off',
        'multipart/form-data; boundary=x',
        '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n{}',
        400,
      ],
      ['a form without a boundary', 'multipart/form-data', 'x', 400],
      ['a form of garbage', 'multipart/form-data; boundary=x', 'garbage', 400],
    ])('refuses %s', async (_what, type, body, status) => {
      await open();
      const [answered, { error }] = await asJson(
        await fetch(`${url}/v1/files?purpose=batch`, { method: 'POST', body, headers: { 'content-type': type } }),
      );
      expect([answered, typeof error.message]).toEqual([status, 'string']);
      expect(stored()).toEqual([]);
    });

    it('answers 507 when the disk has no room', async () => {
      await open({ diskFreeBytesMin: Number.MAX_SAFE_INTEGER });
      const refusal = { status: 0, code: '', headers: new Headers() };
      await uploadRow().catch((error: object) => Object.assign(refusal, error));
      expect(refusal).toMatchObject({ status: 507, code: 'storage_full' });
      expect(refusal.headers.get('retry-after')).toBe('60');
      expect(stored()).toEqual([]);
    });

    describe('of a body that is held back (Expect: 100-continue)', () => {
      const firstLine = (path: string, headers: Record<string, string>): Promise<string> =>
        new Promise((resolve, reject) => {
          const socket = connect(Number(new URL(url).port), '127.0.0.1');
          socket.once('error', reject).once('data', (part) => {
            resolve(String(part).split('\r\n', 1)[0] as string);
            socket.destroy();
          });
          const lines = Object.entries({ host: 'localhost', expect: '100-continue', ...headers }).map(
            ([name, value]) => `${name}: ${value}\r\n`,
          );
          socket.write(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
        });
      const ROWS = { 'content-type': 'application/x-ndjson', 'content-length': '100' };
      const FORM = { 'content-type': 'multipart/form-data; boundary=x', 'content-length': '100' };
      const TEXT = { 'content-type': 'text/plain', 'content-length': '100' };

      it.each([
        ['rows that are too many bytes', {}, '/v1/files?purpose=batch', { ...ROWS, 'content-length': '200001' }, 413],
        ['a form that is too many bytes', {}, '/v1/files', { ...FORM, 'content-length': '2500000' }, 413],
        ['rows without room', { diskFreeBytesMin: Number.MAX_SAFE_INTEGER }, '/v1/files?purpose=batch', ROWS, 507],
        ['a form without room', { diskFreeBytesMin: Number.MAX_SAFE_INTEGER }, '/v1/files', FORM, 507],
        ['rows for another purpose', {}, '/v1/files?purpose=x', ROWS, 400],
        ['another media type', {}, '/v1/files', TEXT, 415],
        ['rows', {}, '/v1/files?purpose=batch', ROWS, 100],
        ['a form', {}, '/v1/files', FORM, 100],
      ])('answers %s at once', async (_, limits, path, headers, status) => {
        await open(limits);
        expect(await firstLine(path, headers)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      });
    });

    it('leaves nothing of an upload whose sender goes away', async () => {
      await open();
      const upload = httpRequest(`${url}/v1/files?purpose=batch`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } });
      upload.on('error', () => undefined);
      upload.write(ROW);
      while (stored().length === 0) await sleep(5);
      upload.destroy();
      while (stored().length > 0) await sleep(5);
    });

    it('lets a sender that reads nothing before it has sent everything read the refusal', async () => {
      await open();
      const body = Buffer.alloc(8_000_000, 'x\n');
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      const head = `POST /v1/files?purpose=batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: ${body.length}\r\n\r\n`;
      await new Promise<void>((resolve, reject) =>
        socket.once('error', reject).write(Buffer.concat([Buffer.from(head), body]), () => resolve()),
      );
      let answer = '';
      for await (const part of socket.setEncoding('utf8')) {
        answer += String(part);
        if (answer.includes('\r\n\r\n')) break;
      }
      expect(answer).toMatch(/^HTTP\/1.1 413 /);
    });
  });

  describe('content', () => {
    beforeEach(() => open());

    it('says how long the file is to a range past its end', async () => {
      const { id } = await uploadRow();
      const response = await fetch(`${url}/v1/files/${id}/content`, { headers: { range: `bytes=${ROW.length}-` } });
      expect([response.status, response.headers.get('content-range')]).toEqual([416, `bytes */${ROW.length}`]);
    });

    it.each([
      ['bytes=10-5', 200, ROW],
      ['bytes=10-', 206, ROW.slice(10)],
      ['bytes=10-19', 206, ROW.slice(10, 20)],
      ['bytes=10-100000', 206, ROW.slice(10)],
      ['lines=1-2', 200, ROW],
    ])('gives the part %s', async (range, status, text) => {
      const { id } = await uploadRow();
      const response = await fetch(`${url}/v1/files/${id}/content`, { headers: { range } });
      expect([response.status, await response.text()]).toEqual([status, text]);
    });

    it.each(['..%2F..%2Fetc%2Fpasswd', 'file-x', '%2e%2e', `file-${'a'.repeat(31)}%00`])('finds nothing under %s', async (id) => {
      for (const path of [`files/${id}`, `files/${id}/content`, `batches/${id}`])
        expect((await fetch(`${url}/v1/${path}`)).status).toBe(404);
    });

    it('gives an empty file', async () => {
      const file = await client.files.create({ purpose: 'batch', file: await toFile(Buffer.alloc(0), 'none.jsonl') });
      expect(await (await client.files.content(file.id)).text()).toBe('');
    });
  });

  describe('creating a batch', () => {
    beforeEach(() => open());

    it.each([
      ['what is no JSON', '{', 400, null],
      ['what is no object', '[]', 400, null],
      ['no file', { input_file_id: undefined }, 400, 'input_file_id'],
      ['a file that does not exist', { input_file_id: 'file-nothing' }, 404, 'input_file_id'],
      ['a path for a file', { input_file_id: '../../batches' }, 404, 'input_file_id'],
      ['no endpoint', { endpoint: undefined }, 400, 'endpoint'],
      ['an endpoint that is none', { endpoint: '/v1/chat/completions' }, 400, 'endpoint'],
      ['an endpoint with a query', { endpoint: '/v1/embeddings?x=1' }, 400, 'endpoint'],
      ['a window without a unit', { completion_window: '48' }, 400, 'completion_window'],
      ['a window that is too long', { completion_window: '31d' }, 400, 'completion_window'],
      ['an unknown priority', { priority: 'urgent' }, 400, 'priority'],
      ['a dry run that is no yes or no', { dry_run: 'yes' }, 400, 'dry_run'],
      ['metadata that is no object', { metadata: ['a'] }, 400, 'metadata'],
      ['metadata that is no string', { metadata: { a: 1 } }, 400, 'metadata.a'],
      ['a metadata value that is too long', { metadata: { a: 'x'.repeat(513) } }, 400, 'metadata.a'],
      ['a metadata key that is too long', { metadata: { ['k'.repeat(65)]: 'x' } }, 400, `metadata.${'k'.repeat(64)}`],
      ['too much metadata', { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'x'])) }, 400, 'metadata'],
      [
        'an output life that is too long',
        { output_expires_after: { anchor: 'created_at', seconds: 3e6 } },
        400,
        'output_expires_after.seconds',
      ],
      ['an output life from another time', { output_expires_after: { anchor: 'now', seconds: 3600 } }, 400, 'output_expires_after.anchor'],
      ['a field that does not exist', { metdata: {} }, 400, 'metdata'],
    ])('refuses %s', async (_what, changes, status, param) => {
      const { id } = await uploadRow();
      const body =
        typeof changes === 'string' ? changes : { input_file_id: id, endpoint: '/v1/embeddings', completion_window: '24h', ...changes };
      const [answered, { error }] = await asJson(await createBatch(body));
      expect([answered, error.param]).toEqual([status, param]);
      expect(namesIn('batches')).toEqual([]);
    });

    it.each([
      '/v1/models/m:predict',
      '/v1/models/m/versions/2:predict',
      '/v2/models/m/infer',
      '/v2/models/m/versions/2/infer',
      '/v1/rerank',
      '/v1/classify',
      '/v1/tokenize',
    ])('accepts the endpoint %s', async (endpoint) => {
      const { id } = await uploadRow();
      expect((await createBatch({ input_file_id: id, endpoint, completion_window: '24h' })).status).toBe(200);
    });

    it.each(['limit=0', 'limit=101', 'limit=x', 'after=nobody', 'order=up'])('refuses to list with %s', async (query) => {
      expect((await fetch(`${url}/v1/batches?${query}`)).status).toBe(400);
    });
  });
});
