import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { addKey, keyFilePath } from '@app/access';
import type { Config } from '@app/config';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import OpenAI, { toFile } from 'openai';
import { GRANT } from '../../../../test/fixtures/key-grant';
import { createServer } from '../server';
import { DocumentedAnswers } from '../testing/documented-answers';
import { apiOn, EchoBackend } from '../testing/fakes';

const ROW = '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}\n';
const JSON_TYPE = { 'content-type': 'application/json' };

interface Refusal {
  error: { message: string; code: string; param: string | null; type: string };
}

describe('intake: uploads in parts, checksums, idempotency keys, quotas', () => {
  const answers = new DocumentedAnswers();
  let app: NestFastifyApplication;
  let dataDir: string;
  let url: string;
  let client: OpenAI;
  let key: string | null;

  beforeEach(() => answers.watch());
  afterEach(async () => {
    expect(await answers.faults()).toEqual([]);
    await app.close();
    rmSync(dataDir, { recursive: true });
  });

  async function open(batch: Partial<Config['batch']> = {}, access: Partial<Config['access']> = {}, tenant?: string): Promise<void> {
    const base = apiOn(new EchoBackend());
    dataDir = base.config.dataDir;
    key = tenant === undefined ? null : await newKey(tenant);
    const config = {
      ...base.config,
      access: { ...base.config.access, ...access },
      batch: { ...base.config.batch, diskFreeBytesMin: 0, ...batch },
    };
    app = await createServer({ ...base, config });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key ?? 'none', maxRetries: 0 });
  }

  async function newKey(tenant: string): Promise<string> {
    mkdirSync(dataDir, { recursive: true });
    return (await addKey(keyFilePath(dataDir), { ...GRANT, tenant, isOperator: false, lanes: ['batch'] })).secret;
  }

  const namesIn = (folder: string): string[] => {
    const path = join(dataDir, folder);
    return existsSync(path) ? readdirSync(path) : [];
  };
  const digest = (algorithm: string, of: string | Uint8Array, encoding: 'hex' | 'base64' = 'hex') =>
    createHash(algorithm).update(of).digest(encoding);
  const send = async (path: string, headers: Record<string, string>, body: string | FormData | Buffer) => {
    const authorization: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(`${url}${path}`, { method: 'POST', headers: { ...authorization, ...headers }, body });
    return { status: response.status, body: (await response.json()) as Refusal & { id: string } };
  };
  const uploadRows = async (rows = 1) =>
    client.files.create({ purpose: 'batch', file: await toFile(Buffer.from(ROW.repeat(rows)), 'rows.jsonl') });

  describe('uploads, with the official client', () => {
    const request = (bytes: number) => ({ bytes, filename: 'rows.jsonl', mime_type: 'application/jsonl', purpose: 'batch' as const });
    const part = async (uploadId: string, text: string) =>
      (await client.uploads.parts.create(uploadId, { data: await toFile(Buffer.from(text), 'part') })).id;

    beforeEach(() => open());

    it('makes a file of parts, which a batch reads', async () => {
      const upload = await client.uploads.create({ ...request(ROW.length), expires_after: { anchor: 'created_at', seconds: 3600 } });
      expect(upload).toMatchObject({ object: 'upload', status: 'pending', bytes: ROW.length, filename: 'rows.jsonl', file: null });
      expect(upload.expires_at).toBe(upload.created_at + 3600);
      const [end, start] = [await part(upload.id, ROW.slice(20)), await part(upload.id, ROW.slice(0, 20))];
      const done = await client.uploads.complete(upload.id, { part_ids: [start, end], md5: digest('md5', ROW) });
      expect(done).toMatchObject({ status: 'completed', file: { object: 'file', bytes: ROW.length, status: 'processed' } });
      const fileId = done.file?.id ?? '';
      expect(await (await client.files.content(fileId)).text()).toBe(ROW);
      const file = await client.files.retrieve(fileId);
      expect(file).toMatchObject({ interleave: { sha256: digest('sha256', ROW) }, expires_at: file.created_at + 3600 });
      const batch = await client.batches.create({ input_file_id: fileId, endpoint: '/v1/embeddings', completion_window: '24h' });
      expect(batch.status).toBe('validating');
      expect(await client.uploads.complete(upload.id, { part_ids: [start, end], md5: digest('md5', ROW) })).toEqual(done);
    });

    it('drops an upload that is cancelled', async () => {
      const upload = await client.uploads.create(request(4));
      await part(upload.id, '{}');
      expect((await client.uploads.cancel(upload.id)).status).toBe('cancelled');
      await expect(part(upload.id, '{}')).rejects.toMatchObject({ status: 409 });
      await expect(client.uploads.complete(upload.id, { part_ids: ['part_x'] })).rejects.toMatchObject({ status: 409 });
      expect([namesIn('files'), namesIn(`uploads/${upload.id}`)]).toEqual([[], ['end.json', 'upload.json']]);
    });

    it('takes the bytes of a part as the body, and shows what it has', async () => {
      const { id } = await client.uploads.create(request(4));
      const sent = await send(`/v1/uploads/${id}/parts`, { 'content-type': 'application/octet-stream' }, '{}\n\n');
      const shown = await (await fetch(`${url}/v1/uploads/${id}`)).json();
      expect(shown).toMatchObject({ id, status: 'pending', interleave: { parts: [{ id: sent.body.id, bytes: 4 }] } });
    });

    it.each([
      ['no length', { filename: 'a', mime_type: 'b', purpose: 'batch' }, 400, 'bytes'],
      ['no name', { bytes: 1, mime_type: 'b', purpose: 'batch' }, 400, 'filename'],
      ['another purpose', { bytes: 1, filename: 'a', mime_type: 'b', purpose: 'vision' }, 400, 'purpose'],
      ['an unknown field', { bytes: 1, filename: 'a', mime_type: 'b', purpose: 'batch', more: 1 }, 400, 'more'],
      ['too long a file', { bytes: 2 ** 40, filename: 'a', mime_type: 'b', purpose: 'batch' }, 413, 'file'],
    ])('refuses %s', async (_what, body, status, param) => {
      const refused = await send('/v1/uploads', JSON_TYPE, JSON.stringify(body));
      expect([refused.status, refused.body.error.param]).toEqual([status, param]);
      expect(namesIn('uploads')).toEqual([]);
    });

    it('refuses parts of other uploads, of another form, and those over 64 MiB before they are sent', async () => {
      const { id } = await client.uploads.create(request(4));
      const form = new FormData();
      form.append('file', new Blob(['{}']), 'a');
      expect((await send(`/v1/uploads/${id}/parts`, {}, form)).status).toBe(400);
      expect((await send(`/v1/uploads/${id}/parts`, JSON_TYPE, '{}')).status).toBe(415);
      expect((await send('/v1/uploads/upload_x/parts', { 'content-type': 'application/octet-stream' }, '{}')).status).toBe(404);
      const refused = await send(`/v1/uploads/${id}/complete`, JSON_TYPE, JSON.stringify({ part_ids: ['part_x'] }));
      expect([refused.status, refused.body.error.param]).toEqual([400, 'part_ids']);
      const long = await client.uploads.create(request(2 ** 30));
      const bytes = { 'content-type': 'application/octet-stream' };
      expect((await send(`/v1/uploads/${long.id}/parts`, bytes, Buffer.alloc(2 ** 26 + 1))).status).toBe(413);
      expect(namesIn('tmp')).toEqual([]);
    });
  });

  describe('Content-Digest', () => {
    beforeEach(() => open());
    const sha256 = `sha-256=:${digest('sha256', ROW, 'base64')}:`;
    const sha512 = `sha-512=:${digest('sha512', ROW, 'base64')}:`;
    const rows = (header: string) =>
      send('/v1/files?purpose=batch', { 'content-type': 'application/x-ndjson', 'content-digest': header }, ROW);

    it.each([[sha256], [sha512], [`${sha512}, ${sha256}`], [`md5=:AAAA:, ${sha256}`]])('keeps rows with %s', async (header) => {
      expect((await rows(header)).status).toBe(200);
    });

    it.each([
      [sha256.replace(/=:./, '=:_'), /expected "sha-256=:<base64>:"/],
      [`sha-256=:${digest('sha256', 'x', 'base64')}:`, /the body has sha-256=:.*nothing of it is kept/],
      [`sha-512=:${digest('sha256', ROW, 'base64')}:`, /the body has sha-512/],
      [`${sha256}, sha-512=:${digest('sha512', 'x', 'base64')}:`, /the body has sha-512/],
      ['md5=:AAAA:', /expected sha-256 or sha-512 but received md5/],
      ['sha-256', /expected "sha-256/],
    ])('refuses rows with %s, and keeps nothing', async (header, message) => {
      const { status, body } = await rows(header);
      expect([status, body.error.code, body.error.param]).toEqual([400, 'invalid_request', 'Content-Digest']);
      expect(body.error.message).toMatch(message);
      expect([namesIn('files'), namesIn('tmp')]).toEqual([[], []]);
    });

    it.each([
      ['of a whole form', true, 200],
      ['of another one', false, 400],
    ])('is %s', async (_what, isRight, status) => {
      const form =
        '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n' +
        `--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n${ROW.repeat(20_000)}\r\n--b--\r\nthe rest`;
      const header = `sha-256=:${digest('sha256', isRight ? form : ROW, 'base64')}:`;
      const sent = await send('/v1/files', { 'content-type': 'multipart/form-data; boundary=b', 'content-digest': header }, form);
      expect(sent.status).toBe(status);
      expect(namesIn('files')).toHaveLength(isRight ? 1 : 0);
      expect(namesIn('tmp')).toEqual([]);
    });

    it('is checked of parts', async () => {
      const { id } = await client.uploads.create({ bytes: ROW.length, filename: 'a', mime_type: 'b', purpose: 'batch' });
      const add = (header: string) =>
        send(`/v1/uploads/${id}/parts`, { 'content-type': 'application/octet-stream', 'content-digest': header }, ROW);
      expect((await add(sha512.replace('sha-512', 'sha-256'))).status).toBe(400);
      expect([namesIn(`uploads/${id}/parts`), namesIn('tmp')]).toEqual([[], []]);
      expect((await add(sha256)).status).toBe(200);
    });
  });

  describe('Idempotency-Key', () => {
    const batchOf = (fileId: string, metadata = {}) =>
      JSON.stringify({ input_file_id: fileId, endpoint: '/v1/embeddings', completion_window: '24h', metadata });
    const create = (idempotencyKey: string, body: string) => send('/v1/batches', { ...JSON_TYPE, 'idempotency-key': idempotencyKey }, body);
    const batches = async () => (await client.batches.list()).data.map(({ id }) => id);

    it('makes one batch of equal requests, also of those that come at once', async () => {
      await open();
      const body = batchOf((await uploadRows()).id);
      const sent = await Promise.all(Array.from({ length: 8 }, () => create('one', body)));
      const made = sent.filter(({ status }) => status === 200).map(({ body: { id } }) => id);
      expect(made.length).toBeGreaterThan(0);
      expect(
        sent.filter(({ status }) => status !== 200).every(({ status, body: { error } }) => status === 409 && error.code === 'conflict'),
      ).toBe(true);
      const again = await create('"one"', body);
      expect([...new Set([...made, again.body.id])]).toEqual(await batches());
      await create('two', body);
      expect(await batches()).toHaveLength(2);
    });

    it('refuses the key for another body, and what is no key', async () => {
      await open();
      const { id } = await uploadRows();
      expect((await create('one', batchOf(id))).status).toBe(200);
      const other = await create('one', batchOf(id, { a: 'b' }));
      expect([other.status, other.body.error.code, other.body.error.type]).toEqual([422, 'idempotency_mismatch', 'invalid_request_error']);
      for (const bad of ['""', 'a b', '"a', 'x'.repeat(256)]) {
        const refused = await create(bad, batchOf(id));
        expect([refused.status, refused.body.error.param]).toEqual([400, 'Idempotency-Key']);
      }
      expect(await batches()).toHaveLength(1);
    });

    it('takes a key again whose request was refused', async () => {
      await open();
      const missing = batchOf('file-x');
      expect((await create('one', missing)).status).toBe(404);
      expect((await create('one', missing)).status).toBe(404);
      const { id } = await uploadRows();
      expect((await create('one', batchOf(id))).status).toBe(422);
      expect((await create('two', batchOf(id))).status).toBe(200);
    });

    it('is of the tenant', async () => {
      await open({}, {}, 'a');
      const body = batchOf((await uploadRows()).id);
      const first = await create('one', body);
      key = await newKey('b');
      await new Promise((resolve) => setTimeout(resolve, 600)); // keys are looked at now and then
      client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
      const second = await create('one', batchOf((await uploadRows()).id));
      expect([first.status, second.status]).toEqual([200, 200]);
      expect(second.body.id).not.toBe(first.body.id);
    });
  });

  describe('quotas', () => {
    const withQuota = (quota: Config['access']['tenants'][string]['quota']) => open({}, { tenants: { acme: { quota } } }, 'acme');
    const startBatch = async (rows: number) =>
      client.batches.create({ input_file_id: (await uploadRows(rows)).id, endpoint: '/v1/embeddings', completion_window: '24h' });

    it('hold a tenant to its bytes of files, pending uploads among them', async () => {
      await withQuota({ fileBytes: 1000 });
      const sized = async (bytes: number) =>
        client.files.create({ purpose: 'batch', file: await toFile(Buffer.alloc(bytes, '{}\n\n'), 'rows.jsonl') });
      await expect(sized(1001)).rejects.toMatchObject({
        status: 413,
        message: expect.stringContaining('may have 1000 bytes of files') as string,
      });
      const first = await sized(600);
      const upload = await client.uploads.create({ bytes: 300, filename: 'a', mime_type: 'b', purpose: 'batch' });
      await expect(sized(101)).rejects.toMatchObject({
        status: 429,
        message: expect.stringMatching(/access\.tenants\.acme\.quota\.fileBytes.* has 900 bytes .*delete files/) as string,
      });
      await expect(client.uploads.create({ bytes: 101, filename: 'a', mime_type: 'b', purpose: 'batch' })).rejects.toMatchObject({
        status: 429,
      });
      await sized(100);
      await client.uploads.cancel(upload.id);
      await client.files.delete(first.id);
      const both = await Promise.allSettled([sized(500), sized(500)]);
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect([namesIn('files').length, namesIn('tmp')]).toEqual([2, []]);
    });

    it('hold a tenant to its open batches', async () => {
      await withQuota({ openBatches: 2 });
      const all = await Promise.allSettled([startBatch(1), startBatch(1), startBatch(1)]);
      expect(all.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled', 'rejected']);
      await expect(startBatch(1)).rejects.toMatchObject({ status: 429, message: expect.stringContaining('has 2 open batches') as string });
    });

    it('hold a tenant to the rows of its open batches', async () => {
      await withQuota({ rows: 10 });
      await expect(startBatch(11)).rejects.toMatchObject({ status: 413 });
      await startBatch(6);
      await expect(startBatch(5)).rejects.toMatchObject({ status: 429, message: expect.stringContaining('has 6 rows') as string });
      await startBatch(4);
    });

    it('hold nobody else', async () => {
      await open({}, { tenants: { other: { quota: { fileBytes: 1, openBatches: 1, rows: 1 } } } }, 'acme');
      for (let batch = 0; batch < 3; batch++) await startBatch(5);
    });
  });
});
