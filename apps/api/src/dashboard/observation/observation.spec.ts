import { mkdirSync, rmSync } from 'node:fs';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { addKey, keyFilePath, removeKey } from '@app/access';
import { runPaths } from '@app/config';
import { HISTORY_SERIES } from '@app/contracts';
import { OBSERVATION_DOORS, serveProcessStatus, type ProcessStatusServer } from '@app/process';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { GRANT } from '../../../../../test/fixtures/key-grant';
import { createServer, type ApiOptions } from '../../server';
import { apiOn, EchoBackend } from '../../testing/fakes';
import { EventBlocks, type EventBlock } from './event-blocks';

const history = { stepMs: 2_000, series: HISTORY_SERIES, points: [] };
const snapshotOf = (atMs: number, more: object = {}) => ({ view: { atMs, lanes: ['old'], events: [], ...more }, history });

/** Serves the observation as the scheduler does: over its status socket. */
class Scheduler {
  readonly readers: ServerResponse[] = [];
  readonly asked: string[] = [];
  view: object | null = { atMs: 1 };
  private server: ProcessStatusServer | null = null;

  constructor(
    private readonly runDir: string,
    private readonly epoch: string,
  ) {}

  async open(): Promise<this> {
    mkdirSync(this.runDir, { recursive: true });
    this.server = await serveProcessStatus({
      socketPath: runPaths(this.runDir).statusSocket('scheduler'),
      registry: new Registry(),
      status: () => ({}),
      doors: {
        [OBSERVATION_DOORS.stream]: (_query, response) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
          this.readers.push(response);
          response.once('close', () => this.readers.splice(this.readers.indexOf(response), 1));
        },
        [OBSERVATION_DOORS.view]: (_query, response) =>
          void response.writeHead(this.view === null ? 503 : 200).end(JSON.stringify(this.view ?? { error: 'it has just started' })),
        [OBSERVATION_DOORS.history]: (query, response) => {
          this.asked.push(query.get('hours') ?? '');
          response.end(JSON.stringify(history));
        },
      },
    });
    return this;
  }

  send(number: number, event: string, data: object): void {
    for (const reader of this.readers) reader.write(`id: ${this.epoch}-${number}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  async close(): Promise<void> {
    await this.server?.close();
  }
}

/** A browser. */
class Page {
  readonly events: EventBlock[] = [];
  readonly texts: string[] = [];
  isOver = false;

  private constructor(readonly answer: IncomingMessage) {
    const blocks = new EventBlocks();
    answer.setEncoding('utf8').on('data', (text: string) => {
      this.texts.push(text);
      this.events.push(...blocks.take(text));
    });
    answer.on('error', () => undefined).on('close', () => (this.isOver = true));
  }

  static open(url: string, headers: Record<string, string> = {}): Promise<Page> {
    return new Promise((resolve, reject) => {
      request(url, { headers, agent: false }, (answer) => resolve(new Page(answer)))
        .once('error', reject)
        .end();
    });
  }

  async next(): Promise<EventBlock> {
    while (this.events.length === 0) await sleep(10);
    return this.events.shift() as EventBlock;
  }
}

describe('the observation at the API', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let scheduler: Scheduler;
  const pages: Page[] = [];

  beforeEach(async () => {
    options = apiOn(new EchoBackend());
    scheduler = await new Scheduler(options.config.runDir, 'a').open();
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterEach(async () => {
    for (const { answer } of pages.splice(0)) answer.destroy();
    await app.close();
    await scheduler.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function watch(headers: Record<string, string> = {}): Promise<Page> {
    const page = await Page.open(`${url}/dashboard/events`, headers);
    pages.push(page);
    return page;
  }
  const readersAre = async (count: number): Promise<void> => {
    while (scheduler.readers.length !== count) await sleep(10);
  };

  it('is relayed to all who watch over one connection, which there is while somebody watches', async () => {
    expect(scheduler.readers).toHaveLength(0);
    const first = await watch();
    expect(first.answer.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    await readersAre(1);
    scheduler.send(1, 'snapshot', snapshotOf(1));
    expect(await first.next()).toMatchObject({ id: 'a-1', event: 'snapshot', data: JSON.stringify(snapshotOf(1)) });
    expect(first.texts.join('')).toMatch(/^retry: \d+\n\n/);
    scheduler.send(2, 'delta', { view: { atMs: 2, lanes: ['new'] }, events: [], points: [{ atMs: 2, values: [] }] });
    expect(await first.next()).toMatchObject({ id: 'a-2', event: 'delta' });
    const second = await watch();
    const { id, event, data } = await second.next();
    expect([id, event]).toEqual(['a-2', 'snapshot']);
    expect(JSON.parse(data)).toEqual({
      view: { atMs: 2, lanes: ['new'], events: [] },
      history: { ...history, points: [{ atMs: 2, values: [] }] },
    });
    expect(scheduler.readers).toHaveLength(1);
  });

  it('goes on with deltas for those who come back in time, and anew for others', async () => {
    const first = await watch();
    await readersAre(1);
    scheduler.send(1, 'snapshot', snapshotOf(1));
    for (let number = 2; number < 6; number++) scheduler.send(number, 'delta', { view: { atMs: number }, events: [], points: [] });
    while (first.events.length < 5) await sleep(10);
    const back = await watch({ 'last-event-id': 'a-3' });
    expect([(await back.next()).id, (await back.next()).id]).toEqual(['a-4', 'a-5']);
    const late = await watch({ 'last-event-id': 'other-3' });
    expect((await late.next()).event).toBe('snapshot');
    const current = await watch({ 'last-event-id': 'a-5' });
    scheduler.send(6, 'delta', { view: { atMs: 6 }, events: [], points: [] });
    expect((await current.next()).id).toBe('a-6');
    expect((await back.next()).id).toBe('a-6');
  });

  it('says that the scheduler is away, and goes on with another', async () => {
    const page = await watch();
    await readersAre(1);
    scheduler.send(1, 'snapshot', snapshotOf(1));
    await page.next();
    await scheduler.close();
    const away = await page.next();
    expect([away.event, away.id]).toEqual(['away', '']);
    expect(JSON.parse(away.data)).toMatchObject({ reason: expect.stringContaining('the scheduler does not answer') as string });
    const later = await watch();
    expect([(await later.next()).event, (await later.next()).event]).toEqual(['snapshot', 'away']);
    expect((await fetch(`${url}/dashboard/view`)).status).toBe(503);
    scheduler = await new Scheduler(options.config.runDir, 'b').open();
    await readersAre(1);
    scheduler.send(1, 'snapshot', snapshotOf(9));
    expect(await page.next()).toMatchObject({ event: 'snapshot', id: 'b-1' });
    expect(await later.next()).toMatchObject({ event: 'snapshot', id: 'b-1' });
  });

  it('has a limit of streams and says what to do, until one has gone', async () => {
    const all = await Promise.all(Array.from({ length: 64 }, () => watch()));
    const refused = await fetch(`${url}/dashboard/events`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await refused.text()).toContain('at most 64 streams');
    all[0]?.answer.destroy();
    for (let status = 503; status === 503; await sleep(10)) status = (await watch()).answer.statusCode ?? 0;
  });

  it('cuts off who does not read, and nobody else', async () => {
    const [lazy, other] = [await watch(), await watch()];
    await readersAre(1);
    scheduler.send(1, 'snapshot', snapshotOf(1));
    await other.next();
    lazy.answer.pause();
    const filler = 'x'.repeat(1024 * 1024);
    // More than its limit and what the system holds for a connection.
    for (let number = 2; number < 26; number++) {
      scheduler.send(number, 'delta', { view: { filler }, events: [], points: [] });
      await other.next();
    }
    lazy.answer.resume();
    while (!lazy.isOver) await sleep(10);
    expect([lazy.events.length < 25, other.isOver]).toEqual([true, false]);
  });

  it('ends with the process, and with the key of who watches', async () => {
    const path = keyFilePath(options.config.dataDir);
    const open = await watch();
    const { secret, record } = await addKey(path, { ...GRANT, isOperator: true });
    while ((await fetch(`${url}/dashboard/view`)).status !== 401) await sleep(20);
    while (!open.isOver) await sleep(20);
    const own = await watch({ authorization: `Bearer ${secret}` });
    const other = await addKey(path, { ...GRANT, isOperator: true });
    while ((await fetch(`${url}/dashboard/view`, { headers: { 'x-api-key': other.secret } })).status !== 200) await sleep(20);
    const kept = await watch({ 'x-api-key': other.secret });
    expect(own.answer.statusCode).toBe(200);
    await removeKey(path, record.id);
    while (!own.isOver) await sleep(20);
    expect(kept.isOver).toBe(false);
    await app.close();
    while (!kept.isOver) await sleep(20);
  });

  it('is there at once as well, and as it was', async () => {
    const view = await fetch(`${url}/dashboard/view`);
    expect([view.status, view.headers.get('cache-control'), await view.json()]).toEqual([200, 'no-store', { atMs: 1 }]);
    expect(await (await fetch(`${url}/dashboard/history?hours=24`)).json()).toEqual({ ...history });
    expect(scheduler.asked).toEqual(['24']);
    for (const hours of ['0', '25', '1.5', 'x', '-1', '%20'])
      expect((await fetch(`${url}/dashboard/history?hours=${hours}`)).status).toBe(400);
    scheduler.view = null;
    expect((await fetch(`${url}/dashboard/view`)).status).toBe(503);
  });
});

it('takes events of any cut, and none without an end', () => {
  const blocks = new EventBlocks();
  expect(blocks.take(': a comment\n\nevent: a\nda')).toEqual([]);
  expect(blocks.take('ta: {"x":1}\n\n')).toEqual([{ id: '', event: 'a', data: '{"x":1}', text: 'event: a\ndata: {"x":1}\n\n' }]);
  expect(() => blocks.take('x'.repeat(33 * 1024 * 1024))).toThrow('expected events of at most');
});
