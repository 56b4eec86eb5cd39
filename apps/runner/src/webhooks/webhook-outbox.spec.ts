import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, WebhookConfig } from '@app/config';
import { newManifest, newBatchId, newFileId, type Manifest } from '@app/batches';
import { createLogger } from '@app/telemetry';
import OpenAI from 'openai';
import type { OpenRunner } from '../open-runner';
import { EchoEngine } from '../testing/echo-engine';
import { openTestRunner } from '../testing/open-test-runner';
import { echoRows, Workspace } from '../testing/workspace';
import { WebhookOutbox } from './webhook-outbox';

const SECRET = `whsec_${Buffer.from('x'.repeat(32)).toString('base64')}`;
const OTHER_SECRET = `whsec_${Buffer.from('y'.repeat(32)).toString('base64')}`;
const HOUR_SECONDS = 3600;

interface Delivery {
  headers: IncomingHttpHeaders;
  body: string;
}

describe('webhooks', () => {
  let workspace: Workspace;
  let receiver: Server;
  let deliveries: Delivery[];
  /** Answers in order; the last one for good. */
  let statuses: number[];
  let runner: OpenRunner | null = null;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10 });
    writeFileSync(join(workspace.directory, 'secret'), `${SECRET}\n`);
    deliveries = [];
    statuses = [200];
    receiver = createServer((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => (body += String(part)));
      request.on('end', () => {
        deliveries.push({ headers: request.headers, body });
        response.writeHead((statuses.length > 1 ? statuses.shift() : statuses[0]) ?? 200).end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  });

  afterEach(async () => {
    await runner?.close(0);
    runner = null;
    receiver.closeAllConnections();
    await new Promise((resolve) => receiver.close(resolve));
    await workspace.close();
  });

  const hook = (changes: Partial<WebhookConfig> = {}): WebhookConfig => ({
    url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`,
    secretFile: join(workspace.directory, 'secret'),
    events: ['batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'],
    allowPrivate: true,
    ...changes,
  });

  async function start(webhooks: WebhookConfig[]): Promise<void> {
    const config: Config = { ...workspace.config, webhooks };
    runner = await openTestRunner(config, new EchoEngine());
  }

  const records = () => workspace.store.listNames('webhooks/');
  async function untilDelivered(count: number): Promise<void> {
    while (deliveries.length < count || (await records()).length > 0) await sleep(20);
  }

  /** By the official client, which throws unless the signature is right. */
  const unwrap = ({ body, headers }: Delivery, secret = SECRET) =>
    new OpenAI({ apiKey: 'none' }).webhooks.unwrap(body, new Headers(headers as Record<string, string>), secret);

  function over(changes: Partial<Manifest['batch']> = {}, tenant = 'a'): Manifest {
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
    Object.assign(manifest.batch, { status: 'completed', completed_at: Math.floor(Date.now() / 1000) }, changes);
    return manifest;
  }

  function openOutbox(...webhooks: WebhookConfig[]) {
    const outcomes: string[] = [];
    const queued: string[][] = [];
    const outbox = new WebhookOutbox({
      webhooks,
      store: workspace.store,
      enqueue: async (names) => void queued.push(names),
      onAttempt: (outcome) => outcomes.push(outcome),
      log: createLogger('test', 'silent'),
    });
    return { outbox, outcomes, queued };
  }

  it('tell that a batch is over, in a way that the official client takes', async () => {
    await workspace.redis.start();
    await start([hook()]);
    const completed = await workspace.submit(echoRows(15));
    await workspace.untilOver(completed);
    const failed = await workspace.createBatch(await workspace.upload('no JSON\n'));
    await workspace.untilOver(failed);
    await untilDelivered(2);
    const events = await Promise.all(deliveries.map((delivery) => unwrap(delivery)));
    expect(events).toEqual([
      {
        id: expect.stringMatching(/^evt_[0-9a-f]{32}$/) as string,
        object: 'event',
        type: 'batch.completed',
        created_at: expect.any(Number) as number,
        data: { id: completed },
      },
      expect.objectContaining({ type: 'batch.failed', data: { id: failed } }),
    ]);
    expect(deliveries[0]?.headers).toMatchObject({ 'webhook-id': events[0]?.id, 'content-type': 'application/json' });
    await expect(unwrap(deliveries[0] as Delivery, OTHER_SECRET)).rejects.toThrow('signature');
  });

  it('are told by the next owner when the one before was killed right after the end', async () => {
    await workspace.redis.start();
    const manifest = over();
    await workspace.batches.create(manifest);
    await start([hook()]);
    await untilDelivered(1);
    expect(await unwrap(deliveries[0] as Delivery)).toMatchObject({ data: { id: manifest.batch.id } });
    while ((await workspace.batches.listOpenIds()).length > 0) await sleep(20);
  });

  it('outlive a Redis that has lost everything', async () => {
    statuses = [500, 200];
    await workspace.redis.start();
    await start([hook()]);
    const id = await workspace.submit(echoRows(5));
    await workspace.untilOver(id);
    while (deliveries.length === 0) await sleep(20);
    await workspace.redis.flush();
    await untilDelivered(2);
    expect(new Set(deliveries.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  it('have one id for one end of a batch, however often it is put down and delivered', async () => {
    statuses = [503, 200];
    const { outbox, outcomes, queued } = openOutbox(hook());
    const manifest = over();
    for (let times = 0; times < 2; times++) {
      await outbox.put(manifest);
      await outbox.put(manifest);
      await outbox.queueWaiting();
    }
    const [name = ''] = queued[0] ?? [];
    await expect(outbox.deliver(name)).rejects.toThrow('expected a status from 200 to 299 but received 503');
    await outbox.deliver(name);
    await outbox.put(manifest);
    await outbox.deliver(name);
    await outbox.deliver(name);
    expect(new Set(queued.flat())).toEqual(new Set([name]));
    expect(new Set(deliveries.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(outcomes).toEqual(['failed', 'delivered', 'delivered']);
    expect(await records()).toEqual([]);
  });

  it('go to those who want this event of this tenant', async () => {
    const { outbox, queued } = openOutbox(
      hook({ events: ['batch.failed'] }),
      hook({ tenant: 'a', url: 'https://a.example/' }),
      hook({ tenant: 'b', url: 'https://b.example/' }),
    );
    await outbox.put(over({ status: 'failed', completed_at: null, failed_at: 5 }, 'b'));
    await outbox.put(over({}, 'b'));
    await outbox.put(over({}, 'c'));
    expect(queued.flat()).toHaveLength(3);
  });

  it.each([
    ['the receiver wants no more', 410, 0],
    ['three days have passed', 500, 73 * HOUR_SECONDS],
  ])('are given up when %s', async (_when, status, ageSeconds) => {
    statuses = [status];
    const { outbox, outcomes, queued } = openOutbox(hook());
    await outbox.put(over({ completed_at: Math.floor(Date.now() / 1000) - ageSeconds }));
    await outbox.queueWaiting();
    await outbox.deliver(queued[0]?.[0] ?? '');
    expect([outcomes, await records()]).toEqual([['given_up'], []]);
  });

  it('are signed with every secret of the file, as it is when they are sent', async () => {
    const { outbox, queued } = openOutbox(hook());
    await outbox.put(over());
    await outbox.queueWaiting();
    const name = queued[0]?.[0] ?? '';
    const path = join(workspace.directory, 'secret');
    writeFileSync(path, 'too short');
    await expect(outbox.deliver(name)).rejects.toThrow('expected "whsec_" and at least 24 bytes in Base64');
    writeFileSync(path, `${OTHER_SECRET}\n${SECRET}\n`);
    await outbox.deliver(name);
    for (const secret of [SECRET, OTHER_SECRET]) expect(await unwrap(deliveries[0] as Delivery, secret)).toMatchObject({ object: 'event' });
  });

  it('wait for a node that knows the receiver', async () => {
    const { outbox, queued } = openOutbox(hook());
    await outbox.put(over());
    await outbox.queueWaiting();
    const { outbox: other } = openOutbox(hook({ url: 'https://other.example/' }));
    await expect(other.deliver(queued[0]?.[0] ?? '')).rejects.toThrow('expected a receiver of the configuration of this node');
    expect(await records()).toHaveLength(1);
  });

  it('are queued beside thousands that wait for a receiver that is away', async () => {
    const folder = join(workspace.directory, 'webhooks');
    mkdirSync(folder, { recursive: true });
    const waiting = Array.from({ length: 2_500 }, (_, index) => `batch_${String(index).padStart(4, '0')}.0a`);
    for (const name of waiting) writeFileSync(join(folder, name), '{}');
    const { outbox, queued } = openOutbox(hook());
    const manifest = over();
    await outbox.put(manifest);
    expect(queued).toEqual([[expect.stringContaining(manifest.batch.id)]]);
    const now = jest.spyOn(performance, 'now');
    const look = async (): Promise<string[]> => {
      queued.length = 0;
      now.mockReturnValue(performance.now() + 11_000);
      await outbox.queueWaiting();
      return queued.flat();
    };
    const names = await records();
    expect([await look(), await look(), await look()].flat()).toEqual(names);
    expect(await look()).toEqual(names.slice(0, 1_000));
    now.mockRestore();
  });

  it('are queued first when Redis is back, where the look was past their names', async () => {
    const { outbox, queued } = openOutbox(hook());
    const folder = join(workspace.directory, 'webhooks');
    mkdirSync(folder, { recursive: true });
    const waiting = Array.from({ length: 2_500 }, (_, index) => `batch_z${String(index).padStart(4, '0')}.0a`);
    for (const name of waiting) writeFileSync(join(folder, name), '{}');
    await outbox.queueWaiting();
    const manifest = over();
    const away = jest.spyOn(queued, 'push').mockImplementationOnce(() => {
      throw new Error('Redis is away');
    });
    await outbox.put(manifest);
    away.mockRestore();
    await outbox.queueWaiting();
    expect(queued).toEqual([waiting.slice(0, 1_000), [expect.stringContaining(manifest.batch.id), ...waiting.slice(1_000, 2_000)]]);
  });

  it.each(['../open/x', 'batch_a', 'batch_a.b/../c'])('take no name %j from Redis', async (name) => {
    await expect(openOutbox(hook()).outbox.deliver(name)).rejects.toThrow('expected the name of a webhook');
  });
});
