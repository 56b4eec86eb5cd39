import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fetchStatus } from '@app/process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stack, until } from '../support/stack';

const MODEL = 'encoder-tiny';
const ROW = JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/embeddings', body: { model: MODEL, input: 'x' } });
const CLI = join(__dirname, '..', '..', 'bin', 'interleave.js');
const SEEN_MS_MAX = 1000;

describe('a node with keys', () => {
  let stack: Stack;
  const secrets: string[] = [];

  /** Runs `interleave keys …` as an operator does, beside the node. */
  function keys(...args: string[]): { key: string; id: string } {
    const env = { ...process.env, DATA_DIR: join(stack.dir, 'data') };
    const { stdout, stderr, status } = spawnSync(process.execPath, [CLI, 'keys', ...args, '--json'], { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    const made = JSON.parse(stdout) as { key: string; id: string };
    if (made.key) secrets.push(made.key);
    return made;
  }
  const ask = (key: string, path: string, init: RequestInit = {}) =>
    fetch(stack.url + path, { ...init, headers: { authorization: `Bearer ${key}`, ...init.headers } });
  const embed = async (key: string) => {
    const body = JSON.stringify({ model: MODEL, input: 'hello' });
    const response = await ask(key, '/v1/embeddings', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    await response.arrayBuffer();
    return response.status;
  };
  const becomes = (key: string, status: number) =>
    until(
      async () => (await embed(key)) === status,
      SEEN_MS_MAX,
      () => `not ${status}`,
    );

  beforeAll(async () => {
    stack = await Stack.start({ models: [MODEL] });
  });
  afterAll(() => stack?.stop());

  it('takes and revokes keys under load without failing the others, and knows them after a restart', async () => {
    expect(await embed('unused')).toBe(200);
    const kept = keys('add', '--tenant', 'a');
    await becomes('unused', 401);
    await becomes(kept.key, 200);
    const statuses = new Map<number, number>();
    let isLoaded = true;
    const load = Array.from({ length: 4 }, async () => {
      while (isLoaded) {
        const status = await embed(kept.key);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    for (let i = 0; i < 3; i++) {
      const next = keys('add', '--tenant', 'b');
      await becomes(next.key, 200);
      keys('revoke', next.id);
      await becomes(next.key, 401);
    }
    isLoaded = false;
    await Promise.all(load);
    expect([...statuses.keys()]).toEqual([200]);
    await stack.restart();
    expect([await embed(kept.key), await embed('unused')]).toEqual([200, 401]);
  });

  it('runs a batch for its tenant alone, and only with the models of its key', async () => {
    const [mine, other] = [keys('add', '--tenant', 'a'), keys('add', '--tenant', 'b', '--models', 'nope')];
    await becomes(other.key, 404);
    const submit = async (key: string) => {
      const headers = { 'content-type': 'application/x-ndjson' };
      const file = (await (await ask(key, '/v1/files?purpose=batch', { method: 'POST', headers, body: `${ROW}\n` })).json()) as {
        id: string;
      };
      const body = JSON.stringify({ input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h' });
      const made = await ask(key, '/v1/batches', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      const { id } = (await made.json()) as { id: string };
      return over(key, id);
    };
    async function over(key: string, id: string): Promise<{ id: string; status: string; output_file_id: string | null; errors: unknown }> {
      for (;;) {
        const batch = (await (await ask(key, `/v1/batches/${id}`)).json()) as Awaited<ReturnType<typeof over>>;
        if (['completed', 'failed'].includes(batch.status)) return batch;
        await sleep(50);
      }
    }
    const done = await submit(mine.key);
    expect(done.status).toBe('completed');
    const paths = [`/v1/batches/${done.id}`, `/v1/files/${done.output_file_id}`, `/v1/files/${done.output_file_id}/content`];
    for (const path of paths) expect([(await ask(mine.key, path)).status, (await ask(other.key, path)).status]).toEqual([200, 404]);
    expect(await submit(other.key)).toMatchObject({ status: 'failed', errors: { data: [{ code: 'model_not_found' }] } });
  });

  it('says no key in logs, metrics, lists and status', async () => {
    const operator = keys('add', '--tenant', 'ops', '--operator');
    await until(
      async () => (await ask(operator.key, '/metrics')).status === 200,
      SEEN_MS_MAX,
      () => 'no metrics',
    );
    const said = [
      stack.log(),
      await (await ask(operator.key, '/metrics')).text(),
      await (await ask(operator.key, '/dashboard/view')).text(),
    ];
    for (const id of ['scheduler', 'runner', 'api']) {
      const socket = join(stack.runDir, `${id}.status.sock`);
      if (existsSync(socket)) said.push(JSON.stringify(await fetchStatus(id as 'scheduler', socket, 5000)));
    }
    expect(said.every((text) => text.length > 10)).toBe(true);
    expect(secrets.filter((secret) => said.some((text) => text.includes(secret.slice(10))))).toEqual([]);
  });
});
