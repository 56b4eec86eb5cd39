import { rmSync } from 'node:fs';
import { addKey, keyFilePath } from '@app/access';
import { BatchStore, FileStore, LocalStore, publishOutputs, uploadLimits, type Manifest } from '@app/batches';
import type { BatchDetail, BatchSearchResult, BatchSummaryPage, ChunkTimeline } from '@app/contracts';
import { jsonLimits } from '@app/protocols';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { GRANT } from '../../../../../test/fixtures/key-grant';
import { createServer, type ApiOptions } from '../../server';
import { apiOn, EchoBackend } from '../../testing/fakes';
import { OperatorBatches } from './operator-batches';
import { CustomIdSearch } from './search/custom-id-search';

/** More than one piece of the index of a file. */
const ROW_COUNT = 200;
const rowOf = (customId: string, input = 'x'): string =>
  `${JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/embeddings', body: { model: 'm', input } })}\n`;
const ROWS = Array.from({ length: ROW_COUNT }, (_, i) => rowOf(`row-${i}`)).join('');

type Outcome = { customId: string; error?: string };

describe('/dashboard/batches, without Redis', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let store: LocalStore;
  let batches: BatchStore;
  let files: FileStore;

  beforeEach(async () => {
    options = apiOn(new EchoBackend());
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    store = new LocalStore(options.config.dataDir);
    batches = new BatchStore(store);
    files = new FileStore(store, uploadLimits(options.config.batch));
  });

  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function ask<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: T }> {
    const content =
      body === undefined ? { headers } : { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
    const response = await fetch(`${url}/${path}`, { method, ...content });
    return { status: response.status, body: (await response.json()) as T };
  }

  const detail = async (id: string): Promise<BatchDetail> => (await ask<BatchDetail>('GET', `dashboard/batches/${id}`)).body;
  const list = async (query = ''): Promise<BatchSummaryPage> => (await ask<BatchSummaryPage>('GET', `dashboard/batches${query}`)).body;
  const search = async (query: Record<string, string>): Promise<BatchSearchResult> =>
    (await ask<BatchSearchResult>('GET', `dashboard/batches/search?${new URLSearchParams(query)}`)).body;

  async function submit(rows: string = ROWS, changes: object = {}): Promise<string> {
    const type = { 'content-type': 'application/x-ndjson' };
    const file = (await (await fetch(`${url}/v1/files?purpose=batch`, { method: 'POST', body: rows, headers: type })).json()) as {
      id: string;
    };
    const request = { input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h', ...changes };
    return (await ask<{ id: string }>('POST', 'v1/batches', request)).body.id;
  }

  async function change(batchId: string, by: (manifest: Manifest) => void): Promise<void> {
    const found = await batches.readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    by(found.manifest);
    await batches.update(found.manifest, found.version);
  }

  /** As its owner would: the chunks of the file are those of the batch. */
  const begin = (batchId: string): Promise<void> =>
    change(batchId, ({ batch }) =>
      Object.assign(batch, { status: 'in_progress', in_progress_at: 1, request_counts: { total: ROW_COUNT, completed: 0, failed: 0 } }),
    );

  async function commit(batchId: string, index: number, rows: Outcome[], firstRow = 0): Promise<void> {
    const writer = await batches.results(batchId).begin(index);
    for (const [i, { customId, error }] of rows.entries()) {
      const id = `batch_req_${batchId.slice(6)}_${firstRow + i}`;
      if (error === undefined)
        await writer.addOutput(JSON.stringify({ id, custom_id: customId, response: { body: { echo: customId } }, error: null }));
      else writer.addError(JSON.stringify({ id, custom_id: customId, response: null, error: { code: error, message: 'why' } }), 'internal');
    }
    await writer.commit();
  }

  async function end(batchId: string): Promise<void> {
    const results = await batches.results(batchId).recover();
    const manifest = await batches.read(batchId);
    if (manifest === null) throw new Error('no manifest');
    const { output, errors } = await publishOutputs(store, {
      manifest,
      chunkCount: 4,
      resultOf: (index) => results.get(index) ?? null,
      makeTable: null,
    });
    const ids = { output_file_id: output?.id ?? null, error_file_id: errors?.id ?? null };
    await change(batchId, ({ batch }) => Object.assign(batch, { status: 'completed', completed_at: 2, ...ids }));
    await batches.close(batchId);
  }

  it('lists batches, newest first, in pages and by state, model and tenant', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push(await submit(rowOf('a')));
    const [oldest = '', middle = '', newest = ''] = ids;
    await begin(middle);
    await end(middle);
    const page = await list('?limit=2');
    expect(page.batches.map(({ id }) => id)).toEqual([newest, middle]);
    expect((await list(`?limit=2&after=${page.next}`)).batches.map(({ id }) => id)).toEqual([oldest]);
    expect((await list('?state=open')).batches.map(({ id }) => id)).toEqual([newest, oldest]);
    expect((await list('?state=over')).batches).toMatchObject([
      { id: middle, status: 'completed', endedAtMs: 2_000, actions: ['retry', 'delete'] },
    ]);
    expect((await list('?state=completed&tenant=default')).batches).toHaveLength(1);
    expect([(await list('?model=m')).batches, (await list('?tenant=other')).batches]).toEqual([[], []]);
    expect(await ask('GET', 'dashboard/batches?state=running')).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('state: expected open, over or one of') as string },
    });
  });

  it('looks for those of a state in few batches at first, and in more where older ones are asked for', async () => {
    const template = await batches.read(await submit(rowOf('a')));
    if (template === null) throw new Error('no manifest');
    await batches.remove(template.batch.id);
    const idOf = (made: number): string => `${template.batch.id.slice(0, -4)}${String(made).padStart(4, '0')}`;
    const create = (status: 'completed' | 'cancelled', made: number) =>
      batches.create({ ...template, batch: { ...template.batch, id: idOf(made), status } });
    await Promise.all(Array.from({ length: 202 }, (_, made) => create(made === 0 ? 'completed' : 'cancelled', made)));
    expect(await list('?state=completed')).toEqual({ batches: [], newest: idOf(201), next: idOf(2) });
    expect((await list(`?state=completed&after=${idOf(2)}`)).batches).toMatchObject([{ id: idOf(0) }]);
  });

  it('lets four list at a time, and the next one once they are done', async () => {
    await submit(rowOf('a'));
    const operators = app.get(OperatorBatches);
    const some = () => operators.list({ state: 'completed', model: null, tenant: null }, { after: null, limit: 50 });
    const running = [some(), some(), some(), some()];
    await expect(some()).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 1 });
    await Promise.all(running);
    await expect(some()).resolves.toMatchObject({ next: null });
  });

  it('shows one batch with its files, failures, log and timeline', async () => {
    const id = await submit();
    await begin(id);
    await change(id, (manifest) =>
      Object.assign(manifest, {
        pin: { name: 'm', version: '3', digest: 'd' },
        writer: { nodeId: 'node-a', writeId: 'w' },
        progress: { rows_per_second: 5, seconds_left: { expected: 3, low: 2, high: 4 }, failures: { internal: 1, invalid_request: 2 } },
        log: [{ at: 5, event: 'owner', message: 'node a has it' }],
      } satisfies Partial<Manifest>),
    );
    const timeline = { chunks: 1, chunksPerSpan: 1, putBacks: 0, atMs: 5, states: {}, spans: [] } as unknown as ChunkTimeline;
    await batches.writeTimeline(id, timeline);
    expect(await detail(id)).toMatchObject({
      id,
      status: 'in_progress',
      rows: { total: ROW_COUNT, completed: 0, failed: 0, notRun: 0 },
      rowsPerSecond: 5,
      secondsLeft: { expected: 3, low: 2, high: 4 },
      tenant: 'default',
      weight: 2,
      tenantWeight: 1,
      pinned: { model: 'm', version: '3', digest: 'd' },
      owner: 'node-a',
      inputFile: { bytes: ROWS.length },
      output: null,
      failures: [
        { code: 'invalid_request', rows: 2 },
        { code: 'internal', rows: 1 },
      ],
      log: [{ event: 'owner' }],
      timeline,
      actions: ['pause', 'cancel', 'priority'],
    });
    expect((await ask('GET', 'dashboard/batches/batch_none')).status).toBe(404);
  });

  it('pauses, resumes, gives a priority, cancels, retries for the same tenant, and deletes', async () => {
    const id = await submit();
    await begin(id);
    const act = (action: string, body?: unknown) => ask<BatchDetail>('POST', `dashboard/batches/${id}/${action}`, body);
    expect((await act('pause')).body).toMatchObject({ isPausedByRequest: true, actions: ['resume', 'cancel', 'priority'] });
    expect((await act('resume')).body).toMatchObject({ isPausedByRequest: false, paused: null });
    expect((await act('priority', { priority: 'high' })).body).toMatchObject({ priority: 'high', weight: 4 });
    expect((await act('priority', { priority: 'urgent' })).status).toBe(400);
    expect((await act('cancel')).body).toMatchObject({ status: 'cancelling', actions: [] });
    await commit(id, 0, [{ customId: 'row-0' }, { customId: 'row-1', error: 'internal' }]);
    await change(id, (manifest) => void (manifest.tenant = 'tenant-b'));
    await end(id);
    expect(await act('pause')).toMatchObject({ status: 409, body: { error: expect.stringContaining('cannot be paused') as string } });
    const { body: retry } = await act('retry');
    expect(retry).toMatchObject({ retryOf: id, tenant: 'tenant-b', status: 'validating' });
    const remove = () => ask('DELETE', `dashboard/batches/${id}`);
    expect(await remove()).toMatchObject({ status: 409, body: { error: expect.stringContaining(`retried by ${retry.id}`) as string } });
    await end(retry.id);
    expect(await remove()).toEqual({ status: 200, body: { id, deleted: true } });
    expect((await act('cancel')).status).toBe(404);
  });

  it('tells rows that were not run from those that failed', async () => {
    const id = await submit();
    await begin(id);
    await change(id, (manifest) => {
      const counts = { total: ROW_COUNT, completed: 10, failed: ROW_COUNT - 10 };
      Object.assign(manifest.batch, { status: 'cancelled', cancelled_at: 2, request_counts: counts });
      manifest.notRunRows = ROW_COUNT - 13;
    });
    const rows = { total: ROW_COUNT, completed: 10, failed: 3, notRun: ROW_COUNT - 13 };
    expect([(await detail(id)).rows, (await list()).batches[0]?.rows]).toEqual([rows, rows]);
  });

  it('sends the output and the errors of a batch', async () => {
    const id = await submit();
    await begin(id);
    await commit(id, 0, [{ customId: 'row-0' }, { customId: 'row-1', error: 'internal' }]);
    expect((await ask('GET', `dashboard/batches/${id}/output`)).status).toBe(404);
    await end(id);
    const output = await fetch(`${url}/dashboard/batches/${id}/output`);
    expect(output.headers.get('content-disposition')).toBe(`attachment; filename="${id}_output.jsonl"`);
    expect(await output.text()).toContain('"custom_id":"row-0"');
    expect(await (await fetch(`${url}/dashboard/batches/${id}/errors`)).text()).toContain('"custom_id":"row-1"');
  });

  it('finds batches by their ids, and rows by their custom_id with what became of them', async () => {
    const id = await submit();
    expect((await search({ q: id.slice(0, 20) })).batches.map((batch) => batch.id)).toEqual([id]);
    expect((await search({ q: 'row-70' })).rows).toMatchObject([
      { batch: { id }, customId: 'row-70', row: 70, line: 71, chunk: null, state: 'waiting', result: null },
    ]);
    await begin(id);
    await commit(id, 1, [{ customId: 'row-64' }, { customId: 'row-65', error: 'inference_failed' }], 64);
    expect((await search({ q: 'row-64', batch: id })).rows).toMatchObject([
      {
        row: 64,
        chunk: 1,
        state: 'completed',
        error: null,
        result: { isCut: false, text: expect.stringContaining('"echo":"row-64"') as string },
      },
    ]);
    expect((await search({ q: 'row-65' })).rows).toMatchObject([{ state: 'failed', error: { code: 'inference_failed', message: 'why' } }]);
    expect((await search({ q: 'row-0' })).rows).toMatchObject([{ chunk: 0, state: 'waiting' }]);
    expect(await search({ q: 'row-7000' })).toMatchObject({ rows: [], searched: { batches: 1 }, next: null });
    await end(id);
    expect((await search({ q: 'row-0' })).rows).toMatchObject([{ state: 'not_run' }]);
  });

  it('finds rows in the output where the input is gone', async () => {
    const id = await submit();
    await begin(id);
    await commit(id, 3, [{ customId: 'row-192' }, { customId: 'row-193', error: 'batch_expired' }], 192);
    await end(id);
    await ask('DELETE', `v1/files/${(await batches.read(id))?.batch.input_file_id}`);
    expect((await search({ q: 'row-192' })).rows).toMatchObject([{ row: 192, line: null, chunk: 3, state: 'completed' }]);
    expect((await search({ q: 'row-193' })).rows).toMatchObject([{ row: 193, state: 'not_run', error: { code: 'batch_expired' } }]);
  });

  it.each([
    ['as it is', (text: string) => text],
    ['escaped', (text: string) => text.replace(/[^ -~\n]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)],
    ['escaped as others do', (text: string) => text.replaceAll('ü', '\\u00FC').replaceAll('/', '\\/')],
  ])('finds a custom_id that is not ASCII, spelled %s, and no text that looks like one', async (_, spell) => {
    const id = await submit(spell(`${rowOf('a', 'ü"/1')}${rowOf('ü"/1')}`));
    expect((await search({ q: 'ü"/1' })).rows).toMatchObject([{ batch: { id }, row: 1, line: 2 }]);
  });

  it('reads so much at a time, and goes on where it ended', async () => {
    const [older] = [await submit(), await submit()];
    const rowLimits = jsonLimits(options.config.http);
    const short = new CustomIdSearch({ store, files, batches }, rowLimits, { bytesMax: 1, msMax: 60_000 });
    const cursors: (string | null)[] = [];
    for (let after = null as { batchId: string; chunk: number } | null; ;) {
      const { rows, next } = await short.find({ query: 'row-5', batchId: null, after });
      cursors.push(next);
      if (next === null) {
        expect(rows.map(({ batch }) => batch.id)).toEqual([older]);
        break;
      }
      const [batchId = '', chunk] = next.split(':');
      after = { batchId, chunk: Number(chunk) };
    }
    expect(cursors.length).toBeGreaterThan(1);
  });

  it('lets two search at a time', async () => {
    await submit();
    const two = new CustomIdSearch({ store, files, batches }, jsonLimits(options.config.http));
    const request = { query: 'row-1', batchId: null, after: null };
    const running = [two.find(request), two.find(request)];
    await expect(two.find(request)).rejects.toMatchObject({ code: 'overloaded' });
    await Promise.all(running);
    await expect(two.find(request)).resolves.toMatchObject({ rows: [{ row: 1 }] });
  });

  it('refuses what is no search', async () => {
    for (const query of ['', `q=${'x'.repeat(513)}`, 'q=a&batch=b', 'q=a&after=b'])
      expect((await ask('GET', `dashboard/batches/search?${query}`)).status).toBe(400);
  });

  it('is for operators, and not for pages of other sites', async () => {
    const id = await submit();
    const foreign = { origin: 'https://elsewhere.example' };
    expect((await ask('POST', `dashboard/batches/${id}/cancel`, undefined, foreign)).status).toBe(403);
    const { secret } = await addKey(keyFilePath(options.config.dataDir), { ...GRANT, isOperator: false });
    const asTenant = async () => (await fetch(`${url}/dashboard/batches`, { headers: { authorization: `Bearer ${secret}` } })).status;
    while ((await asTenant()) === 200) await new Promise(setImmediate);
    expect(await asTenant()).toBe(403);
    expect((await fetch(`${url}/dashboard/batches`)).status).toBe(401);
  });
});
