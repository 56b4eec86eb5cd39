import { createHash } from 'node:crypto';
import OpenAI, { BadRequestError, NotFoundError, toFile } from 'openai';
import { maxDifference } from '../support/embeddings';
import { Stack, until } from '../support/stack';

const MODEL = 'encoder-tiny';

describe('the official openai client', () => {
  let stack: Stack;
  let client: OpenAI;
  beforeAll(async () => {
    stack = await Stack.start({ models: [MODEL] });
    client = new OpenAI({ apiKey: 'unused', baseURL: `${stack.url}/v1`, maxRetries: 0 });
  });
  afterAll(() => stack?.stop());

  const vectors = async (body: Partial<OpenAI.EmbeddingCreateParams>): Promise<number[][]> =>
    (await client.embeddings.create({ model: MODEL, input: 'x', ...body })).data.map(({ embedding }) => embedding);
  const vector = async (body: Partial<OpenAI.EmbeddingCreateParams>): Promise<number[]> => (await vectors(body))[0] ?? [];

  it('lists and retrieves models', async () => {
    const page = await client.models.list();
    expect(page.data).toEqual([
      expect.objectContaining({ id: MODEL, object: 'model', owned_by: 'interleave', task: 'embedding', ready: true }),
    ]);
    expect(await client.models.retrieve(MODEL)).toMatchObject({ id: MODEL, object: 'model' });
    await expect(client.models.retrieve('nope')).rejects.toBeInstanceOf(NotFoundError);
  });

  it('gets the same vector whatever it asks for: by default (base64), as floats, among others', async () => {
    const asDefault = await vector({ input: 'All human beings' });
    expect(asDefault).toHaveLength(128);
    expect(maxDifference(asDefault, await vector({ input: 'All human beings', encoding_format: 'float' }))).toBeLessThanOrEqual(1e-6);
    const [, second = []] = await vectors({ input: ['Everyone has the right to life', 'All human beings', 'x'] });
    expect(maxDifference(asDefault, second)).toBeLessThanOrEqual(1e-5);
  });

  it('gets vectors of token ids', async () => {
    const single = await vector({ input: [5, 6, 7] });
    const [first = [], second = []] = await vectors({ input: [[5, 6, 7], [8]] });
    expect(maxDifference(single, first)).toBeLessThanOrEqual(1e-5);
    expect(maxDifference(single, second)).toBeGreaterThan(1e-3);
  });

  it('gets shorter vectors of length one', async () => {
    const whole = await vector({ input: 'dignity' });
    const short = await vector({ input: 'dignity', dimensions: 16 });
    const norm = Math.hypot(...whole.slice(0, 16));
    expect(short).toHaveLength(16);
    expect(
      maxDifference(
        short,
        whole.slice(0, 16).map((value) => value / norm),
      ),
    ).toBeLessThanOrEqual(1e-5);
  });

  it('gets usage and the request id', async () => {
    const { data, response, request_id: requestId } = await client.embeddings.create({ model: MODEL, input: 'one' }).withResponse();
    expect(response.headers.get('x-interleave-tokens')).toBe(String(data.usage.prompt_tokens));
    expect(data.usage.prompt_tokens).toBeGreaterThan(0);
    expect(requestId).toMatch(/^req_/);
  });

  it('raises its own errors, with the field at fault', async () => {
    await expect(client.embeddings.create({ model: 'nope', input: 'x' })).rejects.toMatchObject({
      constructor: NotFoundError,
      code: 'model_not_found',
      param: 'model',
    });
    await expect(client.embeddings.create({ model: MODEL, input: ['a', 'x '.repeat(5000)] })).rejects.toMatchObject({
      constructor: BadRequestError,
      type: 'invalid_request_error',
      param: 'input[1]',
      requestID: expect.stringMatching(/^req_/) as unknown,
    });
  });

  it('uploads a batch file in parts', async () => {
    const rows = ['a', 'b'].map((id) =>
      JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/embeddings', body: { model: MODEL, input: id } }),
    );
    const bytes = Buffer.from(`${rows.join('\n')}\n`);
    const upload = await client.uploads.create({
      bytes: bytes.length,
      filename: 'a.jsonl',
      mime_type: 'application/jsonl',
      purpose: 'batch',
    });
    const parts = [bytes.subarray(0, 100), bytes.subarray(100)].map(async (data) =>
      client.uploads.parts.create(upload.id, { data: await toFile(data, 'part') }),
    );
    const partIds = (await Promise.all(parts)).map(({ id }) => id);
    const md5 = createHash('md5').update(bytes).digest('hex');
    const { file } = await client.uploads.complete(upload.id, { part_ids: partIds, md5 });
    const { id } = await client.batches.create({ input_file_id: file?.id ?? '', endpoint: '/v1/embeddings', completion_window: '24h' });
    await until(
      async () => (await client.batches.retrieve(id)).status === 'completed',
      60_000,
      () => `batch ${id} was not completed`,
    );
    expect((await client.batches.retrieve(id)).request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
  });
});
