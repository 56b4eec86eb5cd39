import { rmSync } from 'node:fs';
import { BatchStore, LocalStore, publishOutputs, storeKeys, type BatchView, type Manifest } from '@app/batches';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../server';
import { DocumentedAnswers } from '../testing/documented-answers';
import { apiOn, EchoBackend } from '../testing/fakes';

const ROWS = ['a', 'b']
  .map((id) => `{"custom_id":"${id}","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}\n`)
  .join('');

type Answer = BatchView & { error: { code: string; message: string; param: string | null }; deleted?: boolean };

describe('control of batches over HTTP, without Redis', () => {
  const answers = new DocumentedAnswers();
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let store: LocalStore;
  let batches: BatchStore;

  beforeEach(async () => {
    answers.watch();
    options = apiOn(new EchoBackend());
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    store = new LocalStore(options.config.dataDir);
    batches = new BatchStore(store);
  });

  afterEach(async () => {
    expect(await answers.faults()).toEqual([]);
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: Answer }> {
    const content = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(`${url}/v1/${path}`, { method, ...content });
    return { status: response.status, body: (await response.json()) as Answer };
  }

  async function submit(changes: object = {}): Promise<string> {
    const type = { 'content-type': 'application/x-ndjson' };
    const file = (await (await fetch(`${url}/v1/files?purpose=batch`, { method: 'POST', body: ROWS, headers: type })).json()) as {
      id: string;
    };
    const request = { input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h', ...changes };
    return (await ask('POST', 'batches', request)).body.id;
  }

  /** As its owner would end it; null: the row did not run. */
  async function end(batchId: string, rows: ('done' | 'failed' | null)[], changes: Partial<Manifest['batch']> = {}): Promise<void> {
    const found = await batches.readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    const { manifest, version } = found;
    const writer = await batches.results(batchId).begin(0);
    for (const row of rows) if (row === 'done') await writer.addOutput('{}');
    for (const row of rows) if (row === 'failed') writer.addError('{}', 'internal');
    const { result } = await writer.commit();
    const { output, errors } = await publishOutputs(store, { manifest, chunkCount: 1, resultOf: () => result, makeTable: null });
    const completed = output?.rows ?? 0;
    Object.assign(manifest.batch, {
      status: 'completed',
      in_progress_at: 1,
      completed_at: 2,
      output_file_id: output?.id ?? null,
      error_file_id: errors?.id ?? null,
      request_counts: { total: rows.length, completed, failed: rows.length - completed },
      ...changes,
    });
    await batches.update(manifest, version);
    await batches.close(batchId);
  }

  it.each([
    ['90m', 5_400],
    ['7d', 604_800],
  ])('takes a completion window of %s', async (window, seconds) => {
    const { body } = await ask('GET', `batches/${await submit({ completion_window: window })}`);
    expect([body.completion_window, (body.expires_at ?? 0) - body.created_at]).toEqual([window, seconds]);
  });

  it('takes a priority with the batch, and another one later', async () => {
    const batchId = await submit({ priority: 'low' });
    expect((await ask('GET', `batches/${batchId}`)).body.interleave.priority).toBe('low');
    expect((await ask('POST', `batches/${batchId}`, { priority: 'high' })).body.interleave.priority).toBe('high');
    expect((await ask('GET', 'batches')).body).toMatchObject({ data: [{ interleave: { priority: 'high' } }] });
  });

  it.each([{}, { priority: 'urgent' }, { priority: 'low', paused: true }, []])('refuses to change a batch by %j', async (body) => {
    expect((await ask('POST', `batches/${await submit()}`, body)).status).toBe(400);
  });

  it('pauses and resumes, as often as it is asked to, and keeps the priority', async () => {
    const batchId = await submit({ priority: 'high' });
    for (let times = 0; times < 2; times++) {
      const { body } = await ask('POST', `batches/${batchId}/pause`);
      expect(body.interleave).toEqual({ priority: 'high', paused: 'paused by request; POST to its /resume to go on' });
    }
    for (let times = 0; times < 2; times++) {
      const { body } = await ask('POST', `batches/${batchId}/resume`, {});
      expect(body.interleave.paused).toBe('Redis is not reachable');
    }
  });

  it('loses none of two changes that come at the same time', async () => {
    const batchId = await submit();
    await Promise.all([ask('POST', `batches/${batchId}/pause`), ask('POST', `batches/${batchId}`, { priority: 'low' })]);
    expect((await ask('GET', `batches/${batchId}`)).body.interleave).toMatchObject({
      priority: 'low',
      paused: expect.stringContaining('request') as string,
    });
  });

  it.each(['pause', 'resume', 'retry'])('answers 404 to %s of a batch that does not exist', async (door) => {
    expect((await ask('POST', `batches/batch_none/${door}`)).body.error).toMatchObject({ code: 'not_found' });
  });

  it('pauses nothing that is over', async () => {
    const batchId = await submit();
    await end(batchId, ['done', 'done']);
    for (const door of ['/pause', '/resume', '']) {
      const { status, body } = await ask('POST', `batches/${batchId}${door}`, door === '' ? { priority: 'low' } : undefined);
      expect([status, body.error.message]).toEqual([409, "A batch with status 'completed' cannot be paused, resumed or given a priority"]);
    }
  });

  it('retries the rows that are left, with all else as it was', async () => {
    const batchId = await submit({ metadata: { team: 'x' }, deterministic: true, completion_window: '2h', priority: 'low' });
    await end(batchId, ['done', 'failed']);
    const { status, body } = await ask('POST', `batches/${batchId}/retry`);
    expect([status, body.id === batchId]).toEqual([200, false]);
    expect(body).toMatchObject({
      status: 'validating',
      endpoint: '/v1/embeddings',
      metadata: { team: 'x' },
      deterministic: true,
      completion_window: '2h',
      interleave: { retry_of: batchId, priority: 'low' },
    });
    expect(await batches.read(body.id)).toMatchObject({ formatVersion: 2, retryOf: batchId, hasPreparedRows: true });
  });

  it('retries nothing that is not over, has nothing left, never began, or whose results are gone', async () => {
    const open = await submit();
    const whole = await submit();
    await end(whole, ['done', 'done']);
    const early = await submit();
    await end(early, [], { status: 'cancelled', in_progress_at: null });
    const bad = await submit();
    await end(bad, [], { status: 'failed', in_progress_at: null, errors: { object: 'list', data: [] } });
    const dry = await submit({ dry_run: true });
    await end(dry, ['done', 'failed']);
    const gone = await submit();
    await end(gone, ['done', 'failed']);
    const { output_file_id: output, error_file_id: errors } = (await ask('GET', `batches/${gone}`)).body;
    for (const id of [output, errors]) await ask('DELETE', `files/${id}`);
    const messages = ['is not over', 'nothing to retry', 'started; submit', 'what is in its errors', 'dry run', 'output files are deleted'];
    for (const [at, id] of [open, whole, early, bad, dry, gone].entries()) {
      const { status, body } = await ask('POST', `batches/${id}/retry`);
      expect([status, body.error.message]).toEqual([409, expect.stringContaining(messages[at] ?? '')]);
    }
  });

  it('retries a retry, unless the batch before it is gone', async () => {
    const first = await submit();
    await end(first, ['done', 'failed']);
    const second = (await ask('POST', `batches/${first}/retry`)).body.id;
    await end(second, ['failed', null]);
    const { body } = await ask('POST', `batches/${second}/retry`);
    expect(body.interleave.retry_of).toBe(second);
    await end(body.id, ['failed', 'failed']);
    await ask('DELETE', `batches/${first}`);
    expect(await ask('POST', `batches/${second}/retry`)).toMatchObject({
      status: 409,
      body: { error: { message: expect.stringContaining(first) as string } },
    });
  });

  it('deletes a batch that is over with its output files, and keeps its input', async () => {
    const batchId = await submit();
    expect((await ask('DELETE', `batches/${batchId}`)).status).toBe(409);
    await end(batchId, ['done', 'failed']);
    const { output_file_id: output, error_file_id: errors, input_file_id: input } = (await ask('GET', `batches/${batchId}`)).body;
    expect(await ask('DELETE', `batches/${batchId}`)).toEqual({ status: 200, body: { id: batchId, object: 'batch', deleted: true } });
    const status = async (path: string) => (await ask('GET', path)).status;
    expect([await status(`batches/${batchId}`), await status(`files/${output}`), await status(`files/${errors}`)]).toEqual([404, 404, 404]);
    expect([await status(`files/${input}`), (await ask('DELETE', `batches/${batchId}`)).status]).toEqual([200, 404]);
    expect(await store.listNames(storeKeys.batch(batchId).prefix)).toEqual([]);
    expect((await ask('DELETE', `files/${input}`)).status).toBe(200);
  });

  it('keeps a batch whose output an open batch reads', async () => {
    const batchId = await submit();
    await end(batchId, ['done', 'done']);
    const { output_file_id: output } = (await ask('GET', `batches/${batchId}`)).body;
    await store.put(`${storeKeys.file(output ?? '').uses}${await submit()}`, new Uint8Array());
    expect((await ask('DELETE', `batches/${batchId}`)).status).toBe(409);
    expect((await ask('GET', `files/${output}`)).status).toBe(200);
  });

  it('keeps the batches whose rows an open batch retries, and what says which are left', async () => {
    const first = await submit();
    await end(first, ['done', 'failed']);
    const second = (await ask('POST', `batches/${first}/retry`)).body.id;
    await end(second, ['failed']);
    const third = (await ask('POST', `batches/${second}/retry`)).body.id;
    const { output_file_id: output } = (await ask('GET', `batches/${first}`)).body;
    for (const path of [`batches/${first}`, `batches/${second}`, `files/${output}`]) {
      const { status, body } = await ask('DELETE', path);
      expect([status, body.error.message]).toEqual([409, expect.stringContaining(third)]);
    }
    expect([await batches.listRetryIds(first), await batches.listRetryIds(second)]).toEqual([[third], [third]]);
    await end(third, ['done']);
    expect([await batches.listRetryIds(first), await batches.listRetryIds(second)]).toEqual([[], []]);
    for (const path of [`files/${output}`, `batches/${first}`, `batches/${second}`]) expect((await ask('DELETE', path)).status).toBe(200);
  });

  /** Does it once, right before or after the first mark of `batchId` as open is put. */
  function atOpening(when: 'before' | 'after', work: () => Promise<void>): void {
    const { put } = LocalStore.prototype;
    const watched = jest.spyOn(LocalStore.prototype, 'put').mockImplementation(async function (this: LocalStore, key, bytes) {
      if (!key.startsWith(storeKeys.open)) return put.call(this, key, bytes);
      watched.mockRestore();
      if (when === 'before') await work();
      await this.put(key, bytes);
      if (when === 'after') await work();
    });
  }

  it.each([[['done', 'failed'] as const], [[null, null] as const]])(
    'refuses a retry of %j where all it reads is deleted before it is open',
    async (rows) => {
      const batchId = await submit();
      await end(batchId, [...rows]);
      const folder = storeKeys.batch(batchId).prefix;
      atOpening('before', async () => {
        expect((await ask('DELETE', `batches/${batchId}`)).status).toBe(200);
        await store.put(`${storeKeys.batch(batchId).retries}late`, new Uint8Array()); // as a note that comes after the deletion
      });
      const { status, body } = await ask('POST', `batches/${batchId}/retry`);
      expect([status, body.error.message]).toEqual([409, expect.stringContaining(`results of ${batchId}`)]);
      expect([await batches.listIds(), await batches.listOpenIds(), await store.listNames(folder)]).toEqual([[], [], []]);
    },
  );

  it.each(['batch', 'file'])('refuses a retry while a deletion of the %s that has not seen it goes on', async (kind) => {
    const batchId = await submit();
    await end(batchId, ['done', 'failed']);
    const { output_file_id: output } = (await ask('GET', `batches/${batchId}`)).body;
    const keys = kind === 'batch' ? storeKeys.batch(batchId) : storeKeys.file(output ?? '');
    atOpening('before', () => store.put(keys.deleted, new Uint8Array()));
    expect((await ask('POST', `batches/${batchId}/retry`)).status).toBe(409);
    expect([await batches.listIds(), await batches.listRetryIds(batchId)]).toEqual([[batchId], []]);
    await store.delete(keys.deleted);
    expect((await ask('POST', `batches/${batchId}/retry`)).status).toBe(200);
  });

  it('keeps a batch whose retry is open before the deletion looks', async () => {
    const batchId = await submit();
    await end(batchId, ['failed', null]);
    const statuses: number[] = [];
    atOpening('after', async () => void statuses.push((await ask('DELETE', `batches/${batchId}`)).status));
    statuses.push((await ask('POST', `batches/${batchId}/retry`)).status);
    expect(statuses).toEqual([409, 200]);
    expect(await store.head(storeKeys.batch(batchId).deleted)).toBeNull();
  });

  it('does not show a batch that another process deleted', async () => {
    const batchId = await submit();
    await end(batchId, ['done', 'done']);
    expect((await ask('GET', `batches/${batchId}`)).status).toBe(200);
    await batches.remove(batchId);
    expect((await ask('GET', `batches/${batchId}`)).status).toBe(404);
  });
});
