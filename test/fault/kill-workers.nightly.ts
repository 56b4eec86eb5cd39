import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { embed, startLiveLoad } from '../support/live-load';
import { Scrape } from '../support/metrics';
import { Stack, until } from '../support/stack';
import { languages, paragraphs } from '../support/udhr';

const ROUNDS = 2;
const MINUTES_5 = 5 * 60_000;

describe('SIGKILL of workers under live and batch load', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
  });
  afterAll(() => stack?.stop());

  it(
    'loses no live request, answers every batch row once, and counts both exactly',
    async () => {
      const texts = paragraphs(languages().slice(0, 40)).map(({ text }) => text.slice(0, 300));
      const batchId = await submitEmbeddings(stack, 'encoder-tiny', texts);
      const load = startLiveLoad({
        concurrency: 4,
        send: (sequence) => embed(stack.url, 'encoder-tiny', texts[sequence % texts.length] ?? ''),
      });

      const client = openaiClient(stack);
      try {
        for (let round = 0; round < ROUNDS; round++) {
          for (const lane of ['realtime', 'batch'] as const) await killAndAwaitRestart(stack, lane);
        }
        await until(
          async () => (await client.batches.retrieve(batchId)).status === 'completed',
          MINUTES_5,
          () => stack.log().slice(-4000),
        );
      } finally {
        await load.stop();
      }
      const { report } = load;
      expect(report.failures).toEqual([]);
      expect(report.answered).toBeGreaterThan(0);
      const batch = await client.batches.retrieve(batchId);
      expect(batch.request_counts).toEqual({ total: texts.length, completed: texts.length, failed: 0 });
      expect((await fileLines(stack, batch.output_file_id)).map(({ custom_id }) => custom_id)).toEqual(
        texts.map((_, index) => `row-${index}`),
      );
      await expectCounts(stack, { requests: report.answered, rows: texts.length });
    },
    MINUTES_5,
  );
});

/** Kills the worker of a lane and waits until the scheduler has a ready one again. */
async function killAndAwaitRestart(stack: Stack, lane: 'realtime' | 'batch'): Promise<void> {
  const worker = (await stack.processes()).find(({ id }) => id.endsWith(`-${lane}`));
  if (!worker?.pid) throw new Error(`no ${lane} worker runs`);
  process.kill(worker.pid, 'SIGKILL');
  await until(
    async () => (await stack.processes()).some(({ id, pid, state }) => id === worker.id && pid !== worker.pid && state === 'ready'),
    30_000,
    () => `${worker.id} did not come back:\n${stack.log().slice(-4000)}`,
  );
}

/** A request counts once its connection is done with it, a batch once its owner let go of it: both after their callers know. */
async function expectCounts(stack: Stack, { requests, rows }: { requests: number; rows: number }): Promise<void> {
  const live = { lane: 'realtime', model: 'encoder-tiny' };
  await until(
    async () => {
      const now = await Scrape.of(stack.url);
      return now.sum('interleave_requests_total') >= requests && now.sum('interleave_batches_ended_total') > 0;
    },
    10_000,
    () => 'requests or batches are missing in /metrics',
  );
  const scrape = await Scrape.of(stack.url);
  expect({
    requests: scrape.sum('interleave_requests_total', live),
    answered: scrape.sum('interleave_requests_total', { ...live, endpoint: 'embeddings', status: '200' }),
    timed: scrape.sum('interleave_request_seconds_count', live),
    items: scrape.sum('interleave_request_items_total', live),
    completed: scrape.sum('interleave_batch_rows_total', { outcome: 'completed' }),
    failed: scrape.sum('interleave_batch_rows_total', { outcome: 'failed' }),
    batches: scrape.sum('interleave_batches_ended_total', { status: 'completed' }),
  }).toEqual({ requests, answered: requests, timed: requests, items: requests, completed: rows, failed: 0, batches: 1 });
  const documented = readFileSync(join(__dirname, '../../docs/metrics.md'), 'utf8');
  expect(scrape.names().filter((name) => !documented.includes(`| \`${name}\` |`))).toEqual([]);
}
