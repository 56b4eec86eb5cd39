import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch } from 'openai/resources/batches';
import { openaiClient } from '../support/batch-job';
import { RedisServers } from '../support/redis-servers';
import { startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';

/** Enough that there is something left when the worker dies. */
const ROWS = 600;
const MINUTES_5 = 5 * 60_000;
const GRAPH = `
steps:
  - model: encoder-tiny
    input_map: { input_ids: input_ids, attention_mask: attention_mask }
    output_map: { last_hidden_state: hidden }
  - model: pooler
    version: '1'
    fleet: true
    input_map: { hidden: hidden, attention_mask: attention_mask }
    output_map: { sentence_embedding: embedding }
`;
/** Two rows of two lengths. */
const IDS = [5, 6, 7, 8, 9, 10, 11, 0];
const MASK = [1, 1, 1, 1, 1, 1, 1, 0];
const int64 = (name: string, data: number[]) => ({ name, datatype: 'INT64', shape: [2, 4], data });

interface Answer {
  outputs: { name: string; shape: number[]; data: number[] }[];
}

const post = (url: string, model: string, body: object): Promise<Response> =>
  fetch(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-interleave-timeout-ms': '10000' },
    body: JSON.stringify(body),
  });

async function infer(url: string, model: string, body: object): Promise<Answer['outputs']> {
  const response = await post(url, model, body);
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return ((await response.json()) as Answer).outputs;
}

const ids = (first: number): object => ({
  inputs: [int64('input_ids', [first, ...IDS.slice(1)]), int64('attention_mask', MASK)],
});

describe('a graph whose second step is on other nodes', () => {
  const redis = new RedisServers({ tls: false });
  const nodes: Stack[] = [];
  let door: Stack;

  const start = async (id: string, options: { models: string[]; modelFiles?: Record<string, string> }): Promise<Stack> => {
    const environment = { REDIS_URL: `redis://127.0.0.1:${port}`, NODE_ID: id, FLEET_NAME: 'steps' };
    const node = await Stack.start({ ...options, config: 'calibration: { budgetMs: 0 }', environment });
    nodes.push(node);
    return node;
  };
  /** Rows that need both steps. */
  const submit = async (count = ROWS): Promise<{ now: () => Promise<Batch>; id: string }> => {
    const endpoint = '/v2/models/sentence/infer';
    const rows = Array.from({ length: count }, (_, i) => ({
      custom_id: `row-${i}`,
      method: 'POST',
      url: endpoint,
      body: ids(5 + (i % 1000)),
    }));
    const client = openaiClient(door);
    const file = await client.files.create({
      file: new File([rows.map((row) => JSON.stringify(row)).join('\n')], 'rows.jsonl'),
      purpose: 'batch',
    });
    const submitted = { input_file_id: file.id, endpoint: endpoint as '/v1/embeddings', completion_window: '24h' as const };
    const { id } = await client.batches.create(submitted);
    return { id, now: () => client.batches.retrieve(id) };
  };
  const hasEnded = (now: () => Promise<Batch>): Promise<void> => {
    let state: Batch | null = null;
    return until(
      async () => (state = await now()).status === 'completed',
      MINUTES_5 - 60_000,
      () => `the batch does not end:\n${JSON.stringify(state)}`,
    );
  };
  const contentOf = async (fileId: string): Promise<string> => (await openaiClient(door).files.content(fileId)).text();
  let port = 0;
  beforeAll(async () => {
    port = (await redis.server()).port;
    await start('first', { models: ['pooler'] });
    await start('second', { models: ['pooler'] });
    door = await start('door', { models: ['encoder-tiny'], modelFiles: { sentence: GRAPH } });
    await until(
      () => infer(door.url, 'sentence', ids(5)).then(() => true),
      60_000,
      () => 'the graph does not answer',
    );
  }, MINUTES_5);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.close();
  }, MINUTES_5);

  it('answers as its steps by hand, and as the whole model', async () => {
    const [embedding] = await infer(door.url, 'sentence', ids(5));
    const hidden = (await infer(door.url, 'encoder-tiny', ids(5))).find(({ name }) => name === 'last_hidden_state');
    const other = { ...hidden, name: 'hidden', datatype: 'FP32' };
    const [byHand] = await infer(nodes[0]?.url ?? '', 'pooler', { inputs: [other, int64('attention_mask', MASK)] });
    expect([embedding?.shape, embedding?.data]).toEqual([byHand?.shape, byHand?.data]);
    const whole = (await infer(door.url, 'encoder-tiny', ids(5))).find(({ name }) => name === 'sentence_embedding');
    embedding?.data.forEach((value, i) => expect(Math.abs(value - (whole?.data[i] ?? NaN))).toBeLessThanOrEqual(1e-5));
  });

  it('tells neither callers nor the fleet that it had what others have', async () => {
    expect((await post(door.url, 'pooler', ids(5))).status).toBe(404);
    const view = (await (await fetch(`${door.url}/fleet`)).json()) as { nodes: { id: string; models: { name: string }[] }[] };
    expect(view.nodes.find(({ id }) => id === 'door')?.models.map(({ name }) => name)).not.toContain('pooler');
  });

  it(
    'works through a batch whose rows need both, while a batch worker of the other nodes dies',
    async () => {
      const { now } = await submit();
      await until(
        async () => ((await now()).request_counts?.completed ?? 0) > 0,
        MINUTES_5,
        () => 'no row was done',
      );
      process.kill(await (nodes[0] as Stack).pidOf('default-batch'), 'SIGKILL');
      await hasEnded(now);
      const done = await now();
      if (done.error_file_id) throw new Error(await contentOf(done.error_file_id));
      const lines = (await contentOf(done.output_file_id ?? '')).trimEnd().split('\n');
      expect(lines.length).toBe(ROWS);
      for (const index of [0, 1, ROWS / 2, ROWS - 1]) {
        const line = JSON.parse(lines[index] as string) as { custom_id: string; response: { body: Answer } };
        expect(line.custom_id).toBe(`row-${index}`);
        const [live] = await infer(door.url, 'sentence', ids(5 + index));
        line.response.body.outputs[0]?.data.forEach((value, i) =>
          expect(Math.abs(value - (live?.data[i] ?? NaN))).toBeLessThanOrEqual(1e-5),
        );
      }
    },
    MINUTES_5,
  );

  it(
    'waits with a batch while the other nodes have other files than it began with',
    async () => {
      const { now, id } = await submit(20 * ROWS);
      const command = (name: string): Promise<Response> => fetch(`${door.url}/v1/batches/${id}/${name}`, { method: 'POST' });
      await until(
        async () => ((await now()).request_counts?.completed ?? 0) > 0,
        MINUTES_5,
        () => 'no row was done',
      );
      expect((await command('pause')).status).toBe(200);
      const files = nodes.slice(0, 2).map(({ dir }) => join(dir, 'models', 'pooler', 'model.yaml'));
      for (const file of files) writeFileSync(file, 'runRowsMax: 3\n');
      // Nodes look for new files every second, and ask one another every ten.
      await new Promise((resolve) => setTimeout(resolve, 20_000));
      const before = (await now()).request_counts?.completed;
      expect((await command('resume')).status).toBe(200);
      let text = '';
      await until(
        async () => (text = JSON.stringify(await now())).includes('other nodes have other files than the batch began with'),
        60_000,
        () => `it does not say why it waits: ${text}`,
      );
      expect((await now()).request_counts?.completed).toBe(before);
      for (const file of files) rmSync(file);
      await hasEnded(now);
      const done = await now();
      if (done.error_file_id) throw new Error(await contentOf(done.error_file_id));
      expect((await contentOf(done.output_file_id ?? '')).trimEnd().split('\n').length).toBe(20 * ROWS);
    },
    MINUTES_5,
  );

  it(
    'answers every request while the processes of one of those nodes die, and then all of that node',
    async () => {
      const [first] = nodes as [Stack];
      const load = startLiveLoad({ concurrency: 2, send: (sequence) => post(door.url, 'sentence', ids(5 + (sequence % 1000))) });
      const answeredSince = (count: number): Promise<void> =>
        until(
          async () => load.report.answered > count,
          60_000,
          () => `no answers: ${load.report.failures.join('\n')}`,
        );
      await answeredSince(20);
      for (const id of ['default-realtime', 'api-1']) {
        process.kill(await first.pidOf(id), 'SIGKILL');
        await answeredSince(load.report.answered + 50);
      }
      await first.lose();
      await answeredSince(load.report.answered + 100);
      await load.stop();
      expect(load.report.failures).toEqual([]);
    },
    MINUTES_5,
  );

  it(
    'says what is missing once no node has the model, and answers again when one has',
    async () => {
      await nodes[1]?.lose();
      await until(
        async () => /no node of the fleet serves pooler version 1/.test(await (await post(door.url, 'sentence', ids(5))).text()),
        60_000,
        () => 'no word of the lost nodes',
      );
      nodes[1]?.startScheduler();
      await nodes[1]?.ready();
      await until(
        () => infer(door.url, 'sentence', ids(5)).then(() => true),
        60_000,
        () => 'no answer again',
      );
    },
    MINUTES_5,
  );
});
