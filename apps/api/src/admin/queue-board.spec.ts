import { rmSync } from 'node:fs';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { RedisServers, until } from '../../../../test/support/redis-servers';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

const QUEUE = '/admin/queues/api/queues/batch-chunks';

describe('the queue board with a real Redis', () => {
  const servers = new RedisServers({ tls: false });
  let port: number;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;

  beforeAll(async () => void ({ port } = await servers.server()));
  afterAll(() => servers.close());
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  async function open(actions: boolean): Promise<void> {
    options = apiOn(new EchoBackend());
    app = await createServer({ ...options, config: { ...options.config, redisUrl: `redis://127.0.0.1:${port}`, queueBoard: { actions } } });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    await until(async () => (await fetch(`${url}/admin/queues`)).status === 200);
  }

  const ask = async (method: string, path: string) => {
    const response = await fetch(url + path, { method });
    return { status: response.status, text: await response.text() };
  };
  const isPaused = async (): Promise<boolean | undefined> => {
    const { queues } = JSON.parse((await ask('GET', '/admin/queues/api/queues')).text) as { queues: { name: string; isPaused: boolean }[] };
    return queues.find(({ name }) => name === 'batch-chunks')?.isPaused;
  };

  it('shows the queues and links to the dashboard, and changes nothing', async () => {
    await open(false);
    const page = await fetch(`${url}/admin/queues`);
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'self';.*frame-ancestors 'none'/);
    const text = await page.text();
    expect(text).toContain('/dashboard#/batches');
    expect(text).toContain('static/css/main.');
    expect(text.match(/(?:href|src)="(?:https?:)?\/\/[^"]*"/g)).toBeNull();
    expect(await isPaused()).toBe(false);
    expect(await ask('PUT', `${QUEUE}/pause`)).toEqual({ status: 403, text: expect.stringContaining('queueBoard.actions') as string });
    expect(await isPaused()).toBe(false);
  });

  it('pauses and resumes queues where that is allowed, and writes no job', async () => {
    await open(true);
    expect((await ask('PUT', `${QUEUE}/pause`)).status).toBe(200);
    expect(await isPaused()).toBe(true);
    expect((await ask('PUT', '/admin/queues/api/queues/resume')).status).toBe(200);
    expect(await isPaused()).toBe(false);
    expect((await ask('PUT', `${QUEUE}/clean/completed`)).status).toBe(200);
    for (const [method, path] of [
      ['POST', `${QUEUE}/add`],
      ['PUT', `${QUEUE}/obliterate`],
      ['PUT', `${QUEUE}/empty`],
      ['PUT', `${QUEUE}/concurrency`],
      ['PATCH', `${QUEUE}/1/update-data`],
    ] as const)
      expect([path, (await ask(method, path)).status]).toEqual([path, 403]);
  });
});
