import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';
import { Stack, until } from '../support/stack';

const root = join(__dirname, '..', '..');
const ROWS = 100_000;
const KILLS = 4;
const WAIT_MS_MAX = 60_000;

describe('a long file from the command line', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
  });
  afterAll(() => stack?.stop());

  const submit = (path: string): ChildProcessByStdio<null, Readable, Readable> =>
    spawn(process.execPath, [join(root, 'bin', 'interleave.js'), 'batch', 'submit', path, '--url', stack.url], {
      env: { ...process.env, HOME: stack.dir },
      stdio: ['ignore', 'pipe', 'pipe'],
    });

  const uploads = (): string[] => {
    const folder = join(stack.dir, 'data', 'uploads');
    return existsSync(folder) ? readdirSync(folder) : [];
  };
  const partsSent = (): number => {
    const folder = join(stack.dir, 'data', 'uploads', uploads()[0] ?? '', 'marks');
    return existsSync(folder) ? readdirSync(folder).length : 0;
  };
  const sent = (parts: number) =>
    until(
      async () => partsSent() >= parts,
      WAIT_MS_MAX,
      () => `${parts} parts were not sent:\n${stack.log().slice(-4000)}`,
    );

  it('arrives whole although command and server are killed on its way', async () => {
    const path = join(stack.dir, 'rows.jsonl');
    const row = (index: number) =>
      `{"custom_id":"${index}","method":"POST","url":"/v1/embeddings","body":{"model":"none","input":"${'x'.repeat(1000)}"}}\n`;
    writeFileSync(path, Array.from({ length: ROWS }, (_, index) => row(index)).join(''));

    const killed = submit(path);
    await sent(2);
    killed.kill('SIGKILL');
    await once(killed, 'exit');

    const partsBefore = partsSent();
    const command = submit(path);
    const output = Promise.all([text(command.stdout), text(command.stderr)]);
    const exit = once(command, 'exit');
    await sent(partsBefore + 1);
    process.kill(await stack.pidOf('api-1'), 'SIGKILL');
    const [code] = (await exit) as [number | null];
    const [stdout, stderr] = await output;
    expect([code, stderr]).toEqual([0, expect.stringContaining(`goes on with upload ${uploads()[0]}`)]);

    expect(uploads()).toHaveLength(1);
    const client = new OpenAI({ baseURL: `${stack.url}/v1`, apiKey: 'none' });
    const batch = await client.batches.retrieve(stdout.trim());
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    expect(await client.files.retrieve(batch.input_file_id)).toMatchObject({ filename: 'rows.jsonl', interleave: { sha256 } });
    expect(partsSent()).toBe(0);
  });

  it('becomes one batch for each Idempotency-Key, although the server is killed while it is created', async () => {
    const client = new OpenAI({ baseURL: `${stack.url}/v1`, apiKey: 'none' });
    const row = '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"none","input":"x"}}';
    const { id: fileId } = await client.files.create({ purpose: 'batch', file: await toFile(Buffer.from(row), 'a.jsonl') });
    const before = (await client.batches.list()).data.length;
    const create = (key: string) =>
      fetch(`${stack.url}/v1/batches`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ input_file_id: fileId, endpoint: '/v1/embeddings', completion_window: '24h' }),
      });
    for (let kill = 0; kill < KILLS; kill++) {
      const pids = (await stack.processes()).flatMap(({ id, pid }) => (id.startsWith('api-') && pid !== null ? [pid] : []));
      const lost = create(`key-${kill}`).catch(() => null);
      await sleep(kill * 4);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await lost;
      const ids = new Set<string>();
      for (let again = 0; again < 2; again++)
        await until(
          async () => {
            const response = await create(`key-${kill}`);
            if (response.status === 200) ids.add(((await response.json()) as { id: string }).id);
            return response.status === 200;
          },
          WAIT_MS_MAX,
          () => `no batch for key-${kill}`,
        );
      expect(ids.size).toBe(1);
      await stack.ready();
    }
    expect((await client.batches.list({ limit: 100 })).data).toHaveLength(before + KILLS);
  });
});
