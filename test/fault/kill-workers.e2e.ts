import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { embed, startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';
import { languages, paragraphs } from '../support/udhr';

const ROUNDS = 5;
const MINUTES_5 = 5 * 60_000;

describe('SIGKILL of workers under live and batch load', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
  });
  afterAll(() => stack?.stop());

  it(
    'loses no live request and answers every batch row once',
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
