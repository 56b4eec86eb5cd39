import { newBatchId, SEES_ALL, type ChunkResult } from '@app/batches';
import { InterleaveError } from '@app/contracts';
import { ContentDigests } from '@app/models';
import { jsonLimits, parseEndpoint, type Endpoint } from '@app/protocols';
import { createLogger } from '@app/telemetry';
import { serveModels, type ServedModels } from '../../../../../test/fixtures/served-models';
import { RowLines } from '../../output/row-lines';
import { toJsonl, Workspace } from '../../testing/workspace';
import { AnswerSize, ChunkProcessor } from '../chunk-processor';
import { InFlightBudget } from '../in-flight-budget';
import { ModelPins } from '../model-pins';
import { ModelEngine, type RowEngine } from '../row-engine';
import { KnownAnswers } from './known-answers';
import { RowForms } from './row-forms';

const TEXTS = [
  'All human beings are born free',
  'all, human; beings!',
  '',
  ' ',
  'grüße from 東京 \u{1F600}',
  'a "quoted" text \\ with\tescapes \ud83d',
  'line \u2028 separators \u0085',
  '[CLS] is an added token',
  'x'.repeat(700_000),
  '12345 67890',
];

describe('rows in blocks', () => {
  const workspace = new Workspace({ chunkRows: 4000 });
  let served: ServedModels;
  let engine: ModelEngine;
  const calls = { texts: 0, rows: 0 };
  beforeAll(async () => {
    served = await serveModels(['encoder-tiny', 'classifier']);
    const limits = { itemsMax: 64, tensorBytesMax: 1 << 20 };
    engine = new ModelEngine(
      served.catalog,
      served.backend,
      limits,
      new ModelPins(
        served.catalog,
        () => [],
        new ContentDigests('', createLogger('runner', 'fatal')),
        () => false,
      ),
    );
  });
  afterAll(async () => {
    await served.close();
    await workspace.close();
  });

  type Infer = ServedModels['backend']['infer'];
  const withBackend = async <T>(
    infer: (request: Parameters<Infer>[0], infer: Infer) => ReturnType<Infer>,
    work: () => Promise<T>,
  ): Promise<T> => {
    const { backend, catalog } = served;
    const wrapped = { ...backend, infer: (request: Parameters<Infer>[0]) => infer(request, (own) => backend.infer(own)) };
    const pins = new ModelPins(
      catalog,
      () => [],
      new ContentDigests('', createLogger('runner', 'fatal')),
      () => false,
    );
    const before = engine;
    engine = new ModelEngine(catalog, wrapped as typeof backend, { itemsMax: 64, tensorBytesMax: 1 << 20 }, pins);
    try {
      return await work();
    } finally {
      engine = before;
    }
  };

  const counting = (takesTexts: boolean): RowEngine => {
    const rows: RowEngine = Object.create(engine) as RowEngine;
    return Object.assign(rows, {
      answer: (...args: Parameters<RowEngine['answer']>) => ((calls.rows += 1), engine.answer(...args)),
      answerTexts: takesTexts
        ? (...args: Parameters<ModelEngine['answerTexts']>) => ((calls.texts += args[1].length), engine.answerTexts(...args))
        : undefined,
    });
  };

  /** The bytes of the result of the whole file as one chunk. */
  const run = async (text: string, url: string, takesTexts: boolean): Promise<{ bytes: string; result: ChunkResult }> => {
    Object.assign(calls, { texts: 0, rows: 0 });
    const fileId = await workspace.upload(text);
    const table = await workspace.files.readChunkTable(await workspace.files.get(fileId, SEES_ALL));
    const endpoint = parseEndpoint(url) as Endpoint;
    const results = workspace.batches.results(newBatchId());
    const rowLimits = jsonLimits(workspace.config.http);
    const budget = new InFlightBudget({ rowsMax: 512, bytesMax: 64 << 20 });
    const processor = new ChunkProcessor(workspace.store, counting(takesTexts), budget, rowLimits);
    const { result } = await processor.process(
      {
        chunk: { ...table.chunk(0), end: table.chunk(table.chunkCount - 1).end, rowCount: table.rowCount },
        contentKey: workspace.files.contentKey(fileId),
        results,
        endpoint,
        url,
        runAlone: true,
        pin: null,
        packsVectors: false,
        lines: new RowLines('batch_x', endpoint, true),
        forms: new RowForms(endpoint, url, rowLimits),
        size: new AnswerSize(),
        onRefused: () => undefined,
        onBegun: () => undefined,
        part: (_name, work) => work(),
        share: () => ({ tenant: 't', tenantWeight: 1, batchId: 'b', weight: 1, rowSeconds: 1e-4 }),
      },
      new AbortController(),
    );
    let bytes = '';
    for (const part of ['output', 'error'] as const) for await (const piece of results.read(result, part)) bytes += piece.toString('utf8');
    return { bytes, result };
  };

  const row = (i: number, url: string, body: object) => ({ custom_id: `row-${i} ü`, method: 'POST', url, body });
  const textAt = (i: number): string =>
    i % 13 === 7 ? (TEXTS[((i / 13) % TEXTS.length) | 0] as string) : `row ${i % 150} ${'word '.repeat(i % 9)}`;

  it.each([
    ['/v1/embeddings', 'vectors', (input: string) => ({ model: 'encoder-tiny', input })],
    ['/v1/embeddings', 'base64', (input: string) => ({ model: 'encoder-tiny', input, encoding_format: 'base64', dimensions: 7 })],
    ['/v1/embeddings', 'cut texts', (input: string) => ({ input, truncate: true, model: 'encoder-tiny', user: 'u' })],
    ['/v1/embeddings', 'a field that is refused', (input: string) => ({ model: 'encoder-tiny', input, task: 'x' })],
    ['/v1/embeddings', 'a model that is not there', (input: string) => ({ model: 'nobody', input })],
    ['/v1/classify', 'labels', (input: string) => ({ model: 'classifier', input, top_k: 2 })],
    ['/v1/models/encoder-tiny:predict', 'vectors of predict', (input: string) => ({ instances: [input] })],
    ['/v1/models/classifier:predict', 'labels of predict', (input: string) => ({ instances: [input], parameters: { top_k: 1 } })],
  ])('%s gives the same bytes as rows one by one: %s', async (url, _, body) => {
    const text = toJsonl(Array.from({ length: 400 }, (_row, i) => row(i, url, body(textAt(i)))));
    const oneByOne = await run(text, url, false);
    expect(calls.rows).toBeGreaterThan(390); // but for those with half a character
    const inBlocks = await run(text, url, true);
    expect(inBlocks.result).toEqual(oneByOne.result);
    expect(inBlocks.bytes).toBe(oneByOne.bytes);
    expect(calls.texts).toBeGreaterThan(350);
  });

  it('others take the place of a row once it is answered, not once its block is', async () => {
    const url = '/v1/embeddings';
    const lines = Array.from({ length: 300 }, (_, i) => row(i, url, { model: 'encoder-tiny', input: `text ${i % 280}` }));
    const answered = jest.spyOn(InFlightBudget.prototype, 'answered');
    await withBackend(
      (request, infer) => {
        for (const _item of request.items) request.onRan?.(1000);
        return infer(request);
      },
      () => run(toJsonl(lines), url, true),
    );
    const counts = answered.mock.calls.map(([count = 1]) => count);
    answered.mockRestore();
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(300);
    expect(counts.length).toBeGreaterThan(270);
  });

  it('nobody takes the place of a row whose like is still to run', async () => {
    const url = '/v1/embeddings';
    const answered = jest.spyOn(InFlightBudget.prototype, 'answered');
    let freeAtFirstRun: number | null = null;
    const lines = Array.from({ length: 100 }, (_, i) => row(i, url, { model: 'encoder-tiny', input: 'the same' }));
    await withBackend(
      (request, infer) => {
        freeAtFirstRun ??= answered.mock.calls.length;
        return infer(request);
      },
      () => run(toJsonl(lines), url, true),
    );
    answered.mockRestore();
    expect(freeAtFirstRun).toBe(0);
  });

  it('rows of other forms go one by one, between those of a form', async () => {
    const url = '/v1/embeddings';
    const lines = Array.from({ length: 300 }, (_, i) => {
      const body = { model: 'encoder-tiny', input: `text ${i}` };
      if (i % 50 === 20) return JSON.stringify(row(i, url, { ...body, input: [`text ${i}`, 'two'] }));
      if (i % 50 === 21) return JSON.stringify({ ...row(i, url, body), extra: i });
      if (i % 50 === 22) return `  ${JSON.stringify(row(i, url, { ...body, input: i }))} `;
      return i < 150 ? JSON.stringify(row(i, url, body)) : JSON.stringify(row(i, url, body), null, 1).replaceAll('\n', ' ');
    });
    const text = `${lines.join('\n\n')}\r\n`;
    const oneByOne = await run(text, url, false);
    const inBlocks = await run(text, url, true);
    expect(inBlocks.result).toEqual(oneByOne.result);
    expect(inBlocks.bytes).toBe(oneByOne.bytes);
    expect(calls.rows).toBeLessThan(30);
  });

  it('rows of a batch that has begun wait for a model that no worker could load', async () => {
    const pin = { name: 'encoder-tiny', version: '1', digest: '' };
    const { backend, catalog } = served;
    const pins = { find: () => Promise.resolve(1), served: () => catalog.find(pin.name, pin.version) } as unknown as ModelPins;
    const refusal = new InterleaveError('model_not_servable', 'it needs 3.2 GiB');
    const engineOn = (infer: Infer): ModelEngine =>
      new ModelEngine(catalog, { ...backend, infer } as typeof backend, { itemsMax: 64, tensorBytesMax: 1 << 20 }, pins);
    const endpoint = parseEndpoint('/v1/embeddings') as Endpoint;
    const request = { endpoint, body: { model: pin.name, input: 'a' }, runAlone: false, pin, packsVectors: false };
    const { signal } = new AbortController();
    const row = engineOn(() => Promise.reject(refusal)).answer(request, signal);
    await expect(row).rejects.toMatchObject({ code: 'worker_unavailable', message: 'it needs 3.2 GiB' });
    const block = engineOn(({ items }) => Promise.resolve(items.map(() => refusal)));
    const known = new KnownAnswers();
    expect(await block.answerTexts(request, ['a'], { known, signal, onAnswered: () => undefined })).toEqual([null]);
  });

  it('equal texts are run once', async () => {
    const url = '/v1/embeddings';
    let items = 0;
    const lines = Array.from({ length: 600 }, (_, i) => row(i, url, { model: 'encoder-tiny', input: `text ${i % 5}` }));
    const { result } = await withBackend(
      (request, infer) => ((items += request.items.length), infer(request)),
      () => run(toJsonl(lines), url, true),
    );
    expect(result.completed).toBe(600);
    // Blocks that are prepared while the first one runs do not know its answers yet.
    expect(items).toBeLessThanOrEqual(5 * 5);
  });
});
