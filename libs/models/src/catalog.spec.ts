import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InterleaveError, type ItemResult, type Lane, type ModelReport, type ModelSignature } from '@app/contracts';
import { createLogger } from '@app/telemetry';
import { modelPath, serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { openModelCatalog, type ModelCatalog, type TextModel } from '.';

const log = createLogger('test', 'silent');
const OPTIONS = { truncate: false, topK: null, promptName: null };

describe('the model catalog', () => {
  let served: ServedModels;
  let root: string;
  beforeAll(async () => {
    served = await serveModels(['encoder-tiny', 'classifier', 'token-classifier', 'reranker']);
  });
  afterAll(() => served.close());
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'catalog-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const signatureOf = (model: string): ModelSignature => {
    const report = served.backend.models().find(({ name }) => name === model);
    if (!report?.signature) throw new Error(`no signature of ${model}`);
    return report.signature;
  };
  /** A model `m` made of links to a built one, with a `model.yaml` of its own, and versions when some are named. */
  const link = (model: string, yaml: string, versions: string[] = []): void => {
    mkdirSync(join(root, 'm'));
    for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
      symlinkSync(join(served.modelsDir, model, file), join(root, 'm', file));
    for (const version of versions) mkdirSync(join(root, 'm', version));
    for (const folder of versions.length > 0 ? versions : ['.'])
      symlinkSync(modelPath(served.modelsDir, model), join(root, 'm', folder, 'model.onnx'));
    writeFileSync(join(root, 'm/model.yaml'), yaml);
  };
  const report = (model: string, version = '1', state: ModelReport['state'] = 'ready'): ModelReport => ({
    name: 'm',
    version,
    revision: Number(version),
    state,
    reason: state === 'failed' ? 'out of memory' : null,
    signature: state === 'ready' ? signatureOf(model) : null,
    cost: null,
  });
  const openLinked = async (model: string, yaml: string): Promise<ModelCatalog> => {
    link(model, yaml);
    const catalog = await openModelCatalog(root, 'realtime', log);
    catalog.applyReports([report(model)]);
    return catalog;
  };
  const textOf = (catalog: ModelCatalog, name = 'm'): TextModel => {
    const { text } = catalog.find(name, null);
    if (text === null) throw new Error('no text model');
    return text;
  };
  const run = async (model: string, text: TextModel, input: string | { text: string; text_pair: string }) => {
    const [row] = await text.encode([input], OPTIONS);
    if (row === undefined) throw new Error('no row');
    const request = { model, version: '1', items: [row.item], timeoutMs: null, priority: 0, signal: null };
    const [result] = await served.backend.infer(request);
    if (result instanceof InterleaveError || result === undefined) throw result ?? new Error('no result');
    return { row, result };
  };
  const fault = (find: () => unknown): { code: string; message: string; retryAfterSeconds: number | null } => {
    try {
      find();
    } catch (error) {
      if (error instanceof InterleaveError) return { code: error.code, message: error.message, retryAfterSeconds: error.retryAfterSeconds };
    }
    throw new Error('found it');
  };

  describe('states', () => {
    it('a model is loading until a worker is ready, and the newest ready version is taken', async () => {
      link('encoder-tiny', '', ['1', '2']);
      const catalog = await openModelCatalog(root, 'realtime', log);
      expect(catalog.list().map(({ version, state }) => [version, state])).toEqual([
        ['1', 'loading'],
        ['2', 'loading'],
      ]);
      expect(fault(() => catalog.find('m', null))).toMatchObject({ code: 'worker_unavailable', retryAfterSeconds: 1 });
      catalog.applyReports([report('encoder-tiny', '1'), report('encoder-tiny', '2', 'loading')]);
      expect(catalog.find('m', null).version).toBe('1');
      expect(fault(() => catalog.find('m', '2')).message).toMatch(/version 2 is loading/);
      catalog.applyReports([report('encoder-tiny', '2')]);
      expect(catalog.find('m', null).version).toBe('2');
      expect(catalog.find('m', '1').version).toBe('1');
    });

    it('a model that no worker could load says why, and comes back', async () => {
      const catalog = await openLinked('encoder-tiny', '');
      catalog.applyReports([report('encoder-tiny', '1', 'failed')]);
      expect(catalog.list()[0]).toMatchObject({ state: 'failed', reason: 'out of memory' });
      expect(fault(() => catalog.find('m', null))).toMatchObject({
        code: 'model_not_servable',
        message: expect.stringMatching(/cannot be served: out of memory/) as string,
      });
      catalog.applyReports([report('encoder-tiny', '1')]);
      expect(catalog.list()[0]).toMatchObject({ state: 'ready', reason: null });
    });

    it('a model that loads says for how long, as its worker does', async () => {
      const catalog = await openLinked('encoder-tiny', '');
      catalog.applyReports([{ ...report('encoder-tiny', '1', 'loading'), reason: 'loading for 45 s' }]);
      expect(catalog.list()[0]).toMatchObject({ state: 'loading', reason: 'loading for 45 s' });
      catalog.applyReports([report('encoder-tiny', '1', 'loading')]);
      expect(catalog.list()[0]).toMatchObject({ state: 'loading', reason: null });
    });

    it('a model is ready when any worker has it', async () => {
      const catalog = await openLinked('encoder-tiny', '');
      catalog.applyReports([report('encoder-tiny', '1', 'failed'), report('encoder-tiny'), report('encoder-tiny', '1', 'loading')]);
      expect(catalog.list()[0]?.state).toBe('ready');
    });

    it('a model whose files are bad stays failed whatever workers say', async () => {
      link('encoder-tiny', 'nonsense: 1');
      const catalog = await openModelCatalog(root, 'realtime', log);
      catalog.applyReports([report('encoder-tiny')]);
      expect(catalog.list()[0]).toMatchObject({ state: 'failed', reason: expect.stringMatching(/nonsense/) as string });
    });

    it('a model that model.yaml keeps to the other lane cannot be served in this one', async () => {
      link('encoder-tiny', 'lanes: [batch]');
      const states = async (lane: Lane) => (await openModelCatalog(root, lane, log)).list().map(({ state, reason }) => [state, reason]);
      expect(await states('realtime')).toEqual([['failed', 'its model.yaml limits it to the batch lane; this is the realtime lane']]);
      expect(await states('batch')).toEqual([['loading', null]]);
    });

    it('a tokenizer that cannot be used fails the model, not the catalog', async () => {
      link('encoder-tiny', '');
      rmSync(join(root, 'm/tokenizer.json'));
      writeFileSync(join(root, 'm/tokenizer.json'), '{}');
      expect((await openModelCatalog(root, 'realtime', log)).list()[0]).toMatchObject({
        state: 'failed',
        reason: expect.stringMatching(/tokenizer\.json/) as string,
      });
    });

    it.each(['nope', '__proto__', 'constructor', '../m', '', 'm/1', 'm\u0000'])('does not find %j', async (name) => {
      const catalog = await openLinked('encoder-tiny', '');
      expect(fault(() => catalog.find(name, null)).code).toBe('model_not_found');
    });

    it('names the versions that exist', async () => {
      const catalog = await openLinked('encoder-tiny', '');
      expect(fault(() => catalog.find('m', '3'))).toMatchObject({
        code: 'model_not_found',
        message: 'model "m" has no version "3"; it has 1',
      });
    });
  });

  describe('a task that does not fit the graph', () => {
    it('that was inferred: the model is served as tensors', async () => {
      link('encoder-tiny', '');
      const catalog = await openModelCatalog(root, 'realtime', log);
      catalog.applyReports([{ ...report('encoder-tiny'), signature: { ...signatureOf('encoder-tiny'), outputs: [] } }]);
      expect(catalog.find('m', null)).toMatchObject({ task: 'tensor', text: null });
    });

    it.each([
      [
        'sequence-classification',
        'token-classifier',
        '',
        /needs an output "logits" with 2 dimensions but the graph has logits FP32\[-1, -1, 5\]/,
      ],
      ['text-pair-scoring', 'classifier', '', /needs one logit but the output "logits" has 3/],
      ['sequence-classification', 'classifier', 'labels: [a, b]', /expected 3 labels .* has 2/],
      ['embedding', 'encoder-tiny', 'embeddingOutput: nope', /needs an output nope/],
      ['embedding', 'encoder-tiny', 'embeddingOutput: last_hidden_state\npooling: none', /pooling "none" needs an output/],
    ])('that model.yaml asks for: %s on %s fails with the reason', async (task, model, more, reason) => {
      const catalog = await openLinked(model, `task: ${task}\n${more}`);
      expect(catalog.list()[0]).toMatchObject({ state: 'failed', reason: expect.stringMatching(reason) as string });
    });

    it('a graph with inputs that text does not give', async () => {
      const catalog = await openLinked('encoder-tiny', 'task: embedding');
      const inputs = signatureOf('encoder-tiny').inputs.map((input) => ({ ...input, name: `x_${input.name}` }));
      catalog.applyReports([{ ...report('encoder-tiny'), signature: { ...signatureOf('encoder-tiny'), inputs } }]);
      expect(catalog.list()[0]).toMatchObject({
        state: 'failed',
        reason: expect.stringMatching(
          /needs the inputs input_ids, attention_mask, token_type_ids, position_ids .* x_input_ids INT64/,
        ) as string,
      });
    });
  });

  describe('embeddings', () => {
    const TEXT = 'All human beings are born free and equal in dignity and rights.';
    const embed = async (yaml: string): Promise<number[]> => {
      const catalog = await openLinked('encoder-tiny', yaml);
      const { row, result } = await run('encoder-tiny', textOf(catalog), TEXT);
      return [...row.decodeVector(result)];
    };
    const hidden = async (): Promise<number[][]> => {
      const { row, result } = await run('encoder-tiny', textOf(served.catalog, 'encoder-tiny'), TEXT);
      const request = {
        model: 'encoder-tiny',
        version: '1',
        items: [{ ...row.item, outputs: ['last_hidden_state'] }],
        timeoutMs: null,
        priority: 0,
        signal: null,
      };
      const [whole] = (await served.backend.infer(request)) as [ItemResult];
      expect(result.outputs.map(({ name }) => name)).toEqual(['sentence_embedding']);
      const values = new Float32Array(Uint8Array.from(whole.outputs[0]?.data ?? []).buffer);
      return Array.from({ length: row.tokenCount }, (_, i) => [...values.slice(i * 128, (i + 1) * 128)]);
    };
    const unit = (vector: number[]): number[] => vector.map((value) => value / Math.hypot(...vector));
    const expectClose = (a: number[], b: number[]): void => {
      expect(a).toHaveLength(b.length);
      a.forEach((value, i) => expect(Math.abs(value - (b[i] as number))).toBeLessThan(1e-5));
    };

    it('mean pooling and normalisation give what the graph itself pools', async () => {
      const fromGraph = await embed('');
      rmSync(join(root, 'm'), { recursive: true });
      expectClose(await embed('embeddingOutput: last_hidden_state'), fromGraph);
    });

    it('pools by the first token or the maximum, and normalises only when asked', async () => {
      const tokens = await hidden();
      const largest = (tokens[0] as number[]).map((_, i) => Math.max(...tokens.map((token) => token[i] as number)));
      expectClose(await embed('embeddingOutput: last_hidden_state\npooling: cls\nnormalize: false'), tokens[0] as number[]);
      rmSync(join(root, 'm'), { recursive: true });
      expectClose(await embed('embeddingOutput: last_hidden_state\npooling: max'), unit(largest));
    });

    it('averages the tokens', async () => {
      const tokens = await hidden();
      const mean = (tokens[0] as number[]).map((_, i) => tokens.reduce((sum, token) => sum + (token[i] as number), 0) / tokens.length);
      expectClose(await embed('embeddingOutput: last_hidden_state\nnormalize: false'), mean);
    });

    it('knows the length of its vectors', () => {
      expect(textOf(served.catalog, 'encoder-tiny').embeddingWidth).toBe(128);
      expect(textOf(served.catalog, 'classifier').embeddingWidth).toBeNull();
    });
  });

  describe('labels and scores', () => {
    const probabilities = async (model: string, yaml: string): Promise<{ label: string; score: number }[]> => {
      const { row, result } = await run(model, textOf(await openLinked(model, yaml)), 'war and peace');
      return row.decode(result) as { label: string; score: number }[];
    };

    it('takes labels from model.yaml, by class number', async () => {
      const usual = await probabilities('classifier', '');
      rmSync(join(root, 'm'), { recursive: true });
      const named = await probabilities('classifier', 'labels: [x, y, z]');
      const names = { negative: 'x', neutral: 'y', positive: 'z' };
      expect(named).toEqual(usual.map(({ label, score }) => ({ label: names[label as keyof typeof names], score })));
    });

    it('gives a sigmoid where there is one label, as the softmax of one number is always 1', async () => {
      const score = (await probabilities('reranker', 'task: sequence-classification'))[0]?.score;
      rmSync(join(root, 'm'), { recursive: true });
      const { row, result } = await run('reranker', textOf(await openLinked('reranker', '')), 'war and peace');
      expect(score).toBe((row.decode(result) as { score: number }).score);
      expect(score).toBeLessThan(1);
    });

    it('puts the class with the largest logit first, where sigmoids are rounded to the same number', async () => {
      link('classifier', '');
      rmSync(join(root, 'm/config.json'));
      const config = {
        architectures: ['BertForSequenceClassification'],
        id2label: ['a', 'b', 'c'],
        problem_type: 'multi_label_classification',
      };
      writeFileSync(join(root, 'm/config.json'), JSON.stringify(config));
      const catalog = await openModelCatalog(root, 'realtime', log);
      catalog.applyReports([report('classifier')]);
      const [row] = await textOf(catalog).encode(['x'], OPTIONS);
      const data = new Uint8Array(Float32Array.of(40, 60, 50).buffer);
      const result = {
        outputs: [{ name: 'logits', datatype: 'FP32' as const, shape: [1, 3], data }],
        timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 },
      };
      expect(row?.decode(result)).toEqual(['b', 'c', 'a'].map((label) => ({ label, score: 1 })));
    });

    it('token ids from the caller give entities without characters', async () => {
      const text = textOf(await openLinked('token-classifier', 'tokenIds: true'));
      const [row] = text.encodeIds([[2, 300, 400, 3]], OPTIONS);
      const request = {
        model: 'token-classifier',
        version: '1',
        items: [row?.item ?? { inputs: [], outputs: null }],
        timeoutMs: null,
        priority: 0,
        signal: null,
      };
      const [result] = (await served.backend.infer(request)) as [ItemResult];
      for (const entity of row?.decode(result) as { start: null; word: string }[])
        expect(entity).toMatchObject({ start: null, word: expect.any(String) as string });
    });

    it('tokenizes hundreds of texts in order, and names the one at fault', async () => {
      const text = textOf(served.catalog, 'encoder-tiny');
      const texts = Array.from({ length: 200 }, (_, i) => 'a '.repeat(i + 1));
      expect((await text.encode(texts, OPTIONS)).map(({ tokenCount }) => tokenCount)).toEqual(texts.map((_, i) => i + 3));
      texts[150] = 'a '.repeat(2050);
      await expect(text.encode(texts, OPTIONS)).rejects.toMatchObject({ param: '[150]' });
    });

    it('pads rows of a graph with a fixed length, and answers as without', async () => {
      const signature = signatureOf('reranker');
      const inputs = signature.inputs.map((input) => ({ ...input, shape: [-1, 16] }));
      link('reranker', '');
      const catalog = await openModelCatalog(root, 'realtime', log);
      catalog.applyReports([{ ...report('reranker'), signature: { ...signature, inputs } }]);
      const pair = { text: 'war and peace', text_pair: 'a novel' };
      const [fixed, free] = [await run('reranker', textOf(catalog), pair), await run('reranker', textOf(served.catalog, 'reranker'), pair)];
      expect(fixed.row.item.inputs.map(({ shape }) => shape)).toEqual([
        [1, 16],
        [1, 16],
        [1, 16],
      ]);
      expect((fixed.row.decode(fixed.result) as { score: number }).score).toBeCloseTo(
        (free.row.decode(free.result) as { score: number }).score,
        5,
      );
      await expect(textOf(catalog).encode(['one two three four five six seven eight nine'], OPTIONS)).rejects.toThrow(/at most 16 tokens/);
    });
  });
});
