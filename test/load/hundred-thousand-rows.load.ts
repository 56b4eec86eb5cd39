import { openaiClient, submitEmbeddings } from '../support/batch-job';
import { embed, startLiveLoad } from '../support/live-load';
import { residentMiB, Stack, until } from '../support/stack';

const ROWS = 100_000;
const RESIDENT_MIB_MAX = 300;
const MINUTES_30 = 30 * 60_000;

/** `make load`: minutes, so not part of `make test`. */
describe('100 000 rows as one batch while live requests run', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
  });
  afterAll(() => stack?.stop());

  it(
    'keeps api and runner small and fails no live request',
    async () => {
      const client = openaiClient(stack);
      const load = startLiveLoad({ concurrency: 2, send: (sequence) => embed(stack.url, 'encoder-tiny', text(sequence)) });
      const batchId = await submitEmbeddings(stack, 'encoder-tiny', texts());
      const peakMiB: Record<string, number> = { api: 0, runner: 0 };
      try {
        await until(
          async () => {
            for (const id of Object.keys(peakMiB)) peakMiB[id] = Math.max(peakMiB[id] ?? 0, residentMiB(await stack.pidOf(id)));
            return (await client.batches.retrieve(batchId)).status === 'completed';
          },
          MINUTES_30,
          () => stack.log().slice(-4000),
        );
      } finally {
        await load.stop();
      }
      const { report } = load;
      const batch = await client.batches.retrieve(batchId);
      console.log({ peakMiB, liveAnswered: report.answered, seconds: (batch.completed_at ?? 0) - batch.created_at });
      expect(batch.request_counts).toEqual({ total: ROWS, completed: ROWS, failed: 0 });
      expect(report.failures).toEqual([]);
      for (const mib of Object.values(peakMiB)) expect(mib).toBeLessThan(RESIDENT_MIB_MAX);
    },
    MINUTES_30,
  );
});

function* texts(): Generator<string> {
  for (let i = 0; i < ROWS; i++) yield text(i);
}

/** Short rows of differing length, so that the row rate and not the model is what is tested. */
function text(i: number): string {
  return `row ${i} ${'x'.repeat(i % 23)}`;
}
