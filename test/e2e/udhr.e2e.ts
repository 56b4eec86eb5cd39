import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { fromBase64, maxDifference } from '../support/embeddings';
import { Stack, until } from '../support/stack';
import { languages, paragraphs } from '../support/udhr';

interface OutputLine {
  custom_id: string;
  response: { status_code: number; body: { data: { embedding: string }[] } };
  error: null;
}

/** UDHR=all takes every translation (about 45 000 rows, minutes); by default every 20th. */
const codes = languages().filter((_, index) => process.env['UDHR'] === 'all' || index % 20 === 0);
const VALUE_TOLERANCE = 1e-5;
const MINUTES_30 = 30 * 60_000;

describe('the Universal Declaration of Human Rights, one row per paragraph', () => {
  const rows = paragraphs(codes);
  let stack: Stack;
  let client: OpenAI;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
    client = new OpenAI({ apiKey: 'unused', baseURL: `${stack.url}/v1`, maxRetries: 0 });
  });
  afterAll(() => stack?.stop());

  it('gives the same vectors live and as one batch, complete and in order', async () => {
    const file = join(stack.dir, 'udhr.jsonl');
    writeFileSync(file, rows.map(batchLine).join(''));
    const input = await client.files.create({ file: createReadStream(file), purpose: 'batch' });
    const batch = await client.batches.create({ input_file_id: input.id, endpoint: '/v1/embeddings', completion_window: '24h' });

    const live = new Map<string, Float32Array>();
    for (const [index, row] of rows.entries()) live.set(`row-${index}`, await embedLive(row.text));

    await until(async () => (await client.batches.retrieve(batch.id)).status === 'completed', MINUTES_30, () => stack.log().slice(-4000));
    const done = await client.batches.retrieve(batch.id);
    expect(done.request_counts).toEqual({ total: rows.length, completed: rows.length, failed: 0 });
    const content = await (await client.files.content(done.output_file_id ?? '')).text();
    const lines = content.trimEnd().split('\n').map((line) => JSON.parse(line) as OutputLine);
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(rows.map((_, index) => `row-${index}`));
    for (const line of lines) {
      const vector = fromBase64(line.response.body.data[0]?.embedding ?? '');
      expect(maxDifference(vector, live.get(line.custom_id) ?? [])).toBeLessThanOrEqual(VALUE_TOLERANCE);
    }
  }, MINUTES_30);

  async function embedLive(text: string): Promise<Float32Array> {
    const answer = await client.embeddings.create({ model: 'encoder-tiny', input: text, encoding_format: 'base64' });
    return fromBase64(answer.data[0]?.embedding as unknown as string);
  }
});

function batchLine({ text }: { text: string }, index: number): string {
  const body = { model: 'encoder-tiny', input: text, encoding_format: 'base64' };
  return `${JSON.stringify({ custom_id: `row-${index}`, method: 'POST', url: '/v1/embeddings', body })}\n`;
}
