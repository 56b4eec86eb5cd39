import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Placement } from '@app/contracts';
import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { fromBase64, maxDifference } from '../support/embeddings';
import { embed, startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';

/** A node whose runs have several threads. */
const WIDE = 'encoder-small';
const NARROW = 'encoder-tiny';
const TEXTS = Array.from({ length: 24 }, (_, row) => `${'a row of so many words '.repeat(1 + (row % 7))}${row}`);
const BATCH_ROWS = 3000;
const WAIT_MS = 180_000;
/** Sums of a product may be added up in another order. */
const DIFFERENCE_MAX = 1e-5;

describe('runs of two threads', () => {
  let stack: Stack;
  afterEach(() => stack?.stop());

  const start = async (executorThreads: number): Promise<void> => {
    stack = await Stack.start({ models: [WIDE, NARROW], modelFiles: { [WIDE]: `executorThreads: ${executorThreads}\n` } });
  };

  const vectors = async (): Promise<Float32Array[]> => {
    const answered: Float32Array[] = [];
    for (const text of TEXTS) {
      const body = (await (await embed(stack.url, WIDE, text)).json()) as { data: { embedding: string }[] };
      answered.push(fromBase64(body.data[0]?.embedding ?? ''));
    }
    return answered;
  };

  const helpers = async (worker: string): Promise<string[]> => {
    const tasks = `/proc/${await stack.pidOf(worker)}/task`;
    return readdirSync(tasks)
      .map((task) => readFileSync(join(tasks, task, 'comm'), 'utf8').trim())
      .filter((name) => name.startsWith('helper-'));
  };

  const within = (condition: () => Promise<boolean>): Promise<void> => until(condition, WAIT_MS, () => stack.log().slice(-6000));

  it(
    'answer as runs of one, and lose nothing when a worker is killed under live load and a batch',
    async () => {
      await start(1);
      const expected = await vectors();
      await stack.stop();
      await start(2);
      const placement = JSON.parse(readFileSync(join(stack.runDir, 'placement.json'), 'utf8')) as Placement;
      for (const { models } of placement.workers)
        expect(models.map(({ name, executorThreads }) => [name, executorThreads])).toEqual(
          expect.arrayContaining([
            [WIDE, 2],
            [NARROW, 1],
          ]),
        );
      const received = await vectors();
      received.forEach((vector, row) => expect(maxDifference(vector, expected[row] ?? [])).toBeLessThanOrEqual(DIFFERENCE_MAX));
      expect(await helpers('default-realtime')).toHaveLength(1);

      const id = await submitEmbeddings(
        stack,
        WIDE,
        Array.from({ length: BATCH_ROWS }, (_, row) => `row ${row} ${TEXTS[row % TEXTS.length]}`),
      );
      const { batches } = openaiClient(stack);
      const completedRows = async () => (await batches.retrieve(id)).request_counts?.completed ?? 0;
      await within(async () => (await completedRows()) > 0);
      // Live callers who keep both CPUs busy leave the batch nothing, so that it is killed in its rows and ends after them.
      const load = startLiveLoad({
        concurrency: 3,
        send: (sequence) => embed(stack.url, sequence % 2 === 0 ? WIDE : NARROW, `live request ${sequence}`),
      });
      try {
        for (const worker of ['default-batch', 'default-realtime']) {
          const answered = load.report.answered;
          process.kill(await stack.pidOf(worker), 'SIGKILL');
          await within(async () => load.report.answered > answered + 50);
        }
        expect(await completedRows()).toBeLessThan(BATCH_ROWS);
      } finally {
        await load.stop();
      }
      await within(async () => (await batches.retrieve(id)).status === 'completed');
      const { output_file_id: output, error_file_id: errors } = await batches.retrieve(id);
      expect(errors ?? null).toBeNull();
      const ids = (await fileLines(stack, output)).map(({ custom_id: row }) => row);
      expect(new Set(ids).size).toBe(BATCH_ROWS);
      expect(ids).toHaveLength(BATCH_ROWS);
      expect(load.report.failures).toEqual([]);
    },
    3 * WAIT_MS,
  );
});
