import { rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { addKey, keyFilePath, removeKey } from '@app/access';
import { BatchStore, LocalStore, newBatchId, newFileId, newManifest, type Manifest } from '@app/batches';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../../server';
import { apiOn, EchoBackend } from '../../testing/fakes';
import { GRANT } from '../../../../../test/fixtures/key-grant';

interface Told {
  id: string;
  event: string;
  data: { id: string; status: string; request_counts: { completed: number } };
}

/** A caller that reads events, as a browser's EventSource does. */
class Listener {
  readonly events: Told[] = [];
  comments = 0;
  isOver = false;
  private text = '';

  private constructor(readonly answer: IncomingMessage) {
    answer.on('data', (part: Buffer) => this.take(String(part)));
    answer.on('close', () => (this.isOver = true));
  }

  static open(url: string, headers: Record<string, string> = {}): Promise<Listener> {
    return new Promise((resolve, reject) => {
      request(url, { headers, agent: false }, (answer) => resolve(new Listener(answer)))
        .once('error', reject)
        .end();
    });
  }

  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) await sleep(20);
  }

  private take(text: string): void {
    const blocks = (this.text + text).split('\n\n');
    this.text = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
      if (block.startsWith(':')) this.comments += 1;
      else this.events.push({ id: field('id') ?? '', event: field('event') ?? '', data: JSON.parse(field('data') ?? '') as Told['data'] });
    }
  }
}

describe('GET /v1/batches/{id}/events', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let batches: BatchStore;
  const listeners: Listener[] = [];

  beforeEach(async () => {
    options = apiOn(new EchoBackend());
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    batches = new BatchStore(new LocalStore(options.config.dataDir));
  });
  afterEach(async () => {
    for (const { answer } of listeners.splice(0)) answer.destroy();
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function createBatch(tenant = 'default'): Promise<string> {
    const manifest = newManifest({
      batchId: newBatchId(),
      tenant,
      models: null,
      endpoint: '/v1/embeddings',
      inputFileId: newFileId(),
      outputFileId: newFileId(),
      errorFileId: newFileId(),
      metadata: null,
      isDeterministic: false,
      outputExpiresAfterSeconds: null,
      createdAt: 1,
      expiresAt: 2,
    });
    await batches.create(manifest);
    return manifest.batch.id;
  }

  async function change(id: string, batch: Partial<Manifest['batch']>): Promise<void> {
    const found = await batches.readForUpdate(id);
    if (found === null) throw new Error('no manifest');
    await batches.update({ ...found.manifest, batch: { ...found.manifest.batch, ...batch } }, found.version);
  }

  async function listen(id: string, headers: Record<string, string> = {}): Promise<Listener> {
    const listener = await Listener.open(`${url}/v1/batches/${id}/events`, headers);
    listeners.push(listener);
    return listener;
  }

  it('tells what the batch is, each change, and ends with it', async () => {
    const id = await createBatch();
    const listener = await listen(id);
    expect(listener.answer).toMatchObject({
      statusCode: 200,
      headers: {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-request-id': expect.any(String) as string,
      },
    });
    await listener.until(() => listener.events.length === 1);
    await change(id, { status: 'in_progress' });
    await listener.until(() => listener.events.length === 2);
    await change(id, { request_counts: { total: 9, completed: 4, failed: 0 } });
    await listener.until(() => listener.events.length === 3);
    await change(id, { status: 'completed' });
    await listener.until(() => listener.isOver);
    expect(listener.events.map(({ event, data }) => [event, data.status, data.request_counts.completed])).toEqual([
      ['batch.validating', 'validating', 0],
      ['batch.in_progress', 'in_progress', 0],
      ['batch.progress', 'in_progress', 4],
      ['batch.completed', 'completed', 4],
    ]);
    expect(await (await fetch(`${url}/v1/batches/${id}`)).json()).toEqual(listener.events[3]?.data);
  });

  it('goes on after the last event, and says nothing twice', async () => {
    const id = await createBatch();
    const first = await listen(id);
    await first.until(() => first.events.length === 1);
    first.answer.destroy();
    const lastId = first.events[0]?.id ?? '';
    const second = await listen(id, { 'last-event-id': lastId });
    await sleep(1200);
    expect(second.events).toEqual([]);
    await change(id, { request_counts: { total: 9, completed: 1, failed: 0 } });
    await second.until(() => second.events.length === 1);
    expect(second.events[0]?.event).toBe('batch.progress');
    await change(id, { status: 'cancelled' });
    await second.until(() => second.isOver);
    const third = await listen(id, { 'last-event-id': lastId });
    await third.until(() => third.isOver);
    expect(third.events.map(({ event }) => event)).toEqual(['batch.cancelled']);
    const { answer } = await listen(id, { 'last-event-id': third.events[0]?.id ?? '' });
    expect(answer.statusCode).toBe(204);
  });

  it('says the same to all who listen', async () => {
    const id = await createBatch();
    const all = await Promise.all(Array.from({ length: 20 }, () => listen(id)));
    await change(id, { status: 'failed' });
    for (const listener of all) await listener.until(() => listener.isOver);
    expect(new Set(all.map(({ events }) => events.at(-1)?.id)).size).toBe(1);
  });

  it('has an end when the batch is deleted, and when the process ends', async () => {
    const [deleted, kept] = [await createBatch(), await createBatch()];
    const [first, second] = [await listen(deleted), await listen(kept)];
    await batches.remove(deleted);
    await first.until(() => first.isOver);
    await app.close();
    await second.until(() => second.isOver);
  });

  it('is refused past the limit of a tenant, until one is closed', async () => {
    const id = await createBatch();
    const all = await Promise.all(Array.from({ length: 256 }, () => listen(id)));
    const refused = await fetch(`${url}/v1/batches/${id}/events`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await refused.json()).toMatchObject({ error: { message: expect.stringContaining('at most 256 streams') as string } });
    all[0]?.answer.destroy();
    for (let status = 429; status === 429; await sleep(20)) {
      const next = await listen(id);
      status = next.answer.statusCode ?? 0;
    }
  });

  it('is for those who may see the batch, as long as they may', async () => {
    const path = keyFilePath(options.config.dataDir);
    const [own, foreign] = [await addKey(path, { ...GRANT, tenant: 'a' }), await addKey(path, { ...GRANT, tenant: 'b' })];
    const id = await createBatch('a');
    const as = ({ secret }: { secret: string }) => listen(id, { authorization: `Bearer ${secret}` });
    // The keys are seen within moments.
    while ((await fetch(`${url}/v1/batches`)).status !== 401) await sleep(20);
    const listener = await as(own);
    expect(listener.answer.statusCode).toBe(200);
    expect((await as(foreign)).answer.statusCode).toBe(404);
    expect((await listen(id)).answer.statusCode).toBe(401);
    expect(listener.isOver).toBe(false);
    await removeKey(path, own.record.id);
    await listener.until(() => listener.isOver);
  });

  it('has nothing to say of a batch that there is not', async () => {
    expect((await fetch(`${url}/v1/batches/${newBatchId()}/events`)).status).toBe(404);
  });

  it('has a log beside it', async () => {
    const id = await createBatch();
    const read = async () => (await fetch(`${url}/v1/batches/${id}/log`)).json();
    expect(await read()).toEqual({ object: 'list', data: [] });
    const found = await batches.readForUpdate(id);
    if (found === null) throw new Error('no manifest');
    const log = [{ at: 5, event: 'owner' as const, message: 'node a has it' }];
    await batches.update({ ...found.manifest, log }, found.version);
    expect(await read()).toEqual({ object: 'list', data: log });
    expect((await fetch(`${url}/v1/batches/${newBatchId()}/log`)).status).toBe(404);
  });
});
