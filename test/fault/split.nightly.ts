import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readTopology } from '@app/system';
import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { embed, startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';
import { languages, paragraphs } from '../support/udhr';

const CLI = resolve('bin/interleave.js');
const MODEL = 'encoder-tiny';
const PIPELINE = `${MODEL}-pipeline`;
const MINUTES_5 = 5 * 60_000;
const TEXTS = paragraphs(languages().slice(0, 20)).map(({ text }) => text.slice(0, 200));

/** Two partitions where there are two CPUs: one stage in each. */
function partitions(): string {
  const [first = 0, second = first] = readTopology().effective;
  const models = [`[${MODEL}, ${MODEL}-stage-1]`, `[${MODEL}-stage-2]`];
  if (second === first) return '';
  const lines = [first, second].map((cpu, i) => `  - { id: part-${i}, cpus: [${cpu}], memory: 1GiB, models: ${models[i]} }\n`);
  return `partitions:\n${lines.join('')}`;
}

describe('a model that is split into stages', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({ models: [MODEL], config: partitions() });
    const env = { ...process.env, DATA_DIR: join(stack.dir, 'data'), MODELS_DIR: join(stack.dir, 'models') };
    const split = spawnSync(process.execPath, [CLI, 'split', MODEL, '--stages', '2'], { env, encoding: 'utf8' });
    if (split.status !== 0) throw new Error(split.stderr);
    await until(
      async () => (await embed(stack.url, PIPELINE, 'hello')).status === 200,
      60_000,
      () => `${PIPELINE} is not served:\n${stack.log().slice(-4000)}`,
    );
  }, MINUTES_5);
  afterAll(() => stack?.stop());

  it('says what was cut where', () => {
    const record = JSON.parse(readFileSync(join(stack.dir, 'models', PIPELINE, 'split.json'), 'utf8')) as {
      cuts: unknown[];
      stages: unknown[];
    };
    expect(record.stages).toHaveLength(2);
    expect(record.cuts).toMatchObject([{ tensors: [{ datatype: 'FP32', shape: ['batch', 'sequence', 128] }] }]);
  });

  it('answers as the whole model does, bit by bit', async () => {
    for (const text of TEXTS.slice(0, 10)) {
      const [whole, pipeline] = await Promise.all([MODEL, PIPELINE].map(async (model) => vectorOf(await embed(stack.url, model, text))));
      expect(pipeline).toBe(whole);
    }
  });

  it(
    'loses no live request and answers every row of a batch once while workers of each stage are killed',
    async () => {
      const client = openaiClient(stack);
      const batchId = await submitEmbeddings(stack, PIPELINE, TEXTS);
      const load = startLiveLoad({ concurrency: 2, send: (i) => embed(stack.url, PIPELINE, TEXTS[i % TEXTS.length] ?? '') });
      try {
        const workers = (await stack.processes()).filter(({ id }) => /-(realtime|batch)$/.test(id)).map(({ id }) => id);
        for (const id of workers) await killAndAwaitRestart(stack, id);
        await until(
          async () => (await client.batches.retrieve(batchId)).status === 'completed',
          MINUTES_5,
          () => stack.log().slice(-4000),
        );
      } finally {
        await load.stop();
      }
      expect(load.report.failures).toEqual([]);
      expect(load.report.answered).toBeGreaterThan(0);
      const { request_counts: counts, output_file_id: output } = await client.batches.retrieve(batchId);
      expect(counts).toEqual({ total: TEXTS.length, completed: TEXTS.length, failed: 0 });
      expect((await fileLines(stack, output)).map(({ custom_id }) => custom_id)).toEqual(TEXTS.map((_, i) => `row-${i}`));
    },
    MINUTES_5,
  );
});

async function vectorOf(response: Response): Promise<string> {
  const body = (await response.json()) as { data: [{ embedding: string }] };
  return body.data[0].embedding;
}

async function killAndAwaitRestart(stack: Stack, id: string): Promise<void> {
  const worker = (await stack.processes()).find((process) => process.id === id);
  if (!worker?.pid) throw new Error(`${id} does not run`);
  process.kill(worker.pid, 'SIGKILL');
  await until(
    async () => (await stack.processes()).some((other) => other.id === id && other.pid !== worker.pid && other.state === 'ready'),
    30_000,
    () => `${id} did not come back:\n${stack.log().slice(-4000)}`,
  );
}
