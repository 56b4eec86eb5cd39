import { fromBase64, maxDifference } from '../support/embeddings';
import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { embed } from '../support/live-load';
import { Stack, until } from '../support/stack';
import { languages, paragraphs } from '../support/udhr';

/** UDHR=all takes every translation (about 31 000 rows, minutes); by default every 20th. */
const codes = languages().filter((_, index) => process.env['UDHR'] === 'all' || index % 20 === 0);
const VALUE_TOLERANCE = 1e-5;
const MINUTES_30 = 30 * 60_000;

describe('the Universal Declaration of Human Rights, one row per paragraph', () => {
  const rows = paragraphs(codes);
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
  });
  afterAll(() => stack?.stop());

  it(
    'gives the same vectors live and as one batch, complete and in order',
    async () => {
      const client = openaiClient(stack);
      const batchId = await submitEmbeddings(
        stack,
        'encoder-tiny',
        rows.map(({ text }) => text),
      );

      const live: Float32Array[] = [];
      for (const { text } of rows) live.push(await vectorOf(await embed(stack.url, 'encoder-tiny', text)));

      await until(
        async () => (await client.batches.retrieve(batchId)).status === 'completed',
        MINUTES_30,
        () => stack.log().slice(-4000),
      );
      const batch = await client.batches.retrieve(batchId);
      expect(batch.request_counts).toEqual({ total: rows.length, completed: rows.length, failed: 0 });
      const lines = await fileLines(stack, batch.output_file_id);
      expect(lines.map(({ custom_id }) => custom_id)).toEqual(rows.map((_, index) => `row-${index}`));
      const worst = lines.map((line, index) => maxDifference(fromBase64(line.response?.body.data[0]?.embedding ?? ''), live[index] ?? []));
      expect(Math.max(...worst)).toBeLessThanOrEqual(VALUE_TOLERANCE);
    },
    MINUTES_30,
  );
});

async function vectorOf(response: Response): Promise<Float32Array> {
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  const { data } = (await response.json()) as { data: { embedding: string }[] };
  return fromBase64(data[0]?.embedding ?? '');
}
