import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';
import { Stack, until } from '../support/stack';

const root = join(__dirname, '..', '..');
const ROWS = 100_000;
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
});
