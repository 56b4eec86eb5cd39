import {
  ELSEWHERE,
  InterleaveError,
  RevisionGone,
  type CancelSignal,
  type GraphPlan,
  type GraphStepPlan,
  type InferenceItem,
  type InferenceRequest,
  type ItemResult,
  type Placement,
  type StepKind,
  type Tensor,
} from '@app/contracts';
import { joinStrings, type OrtBackend } from '../../../test/fixtures/ort-backend';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { GraphBackend } from './graph-backend';

const REVISIONS: Record<string, number> = { 'encoder-tiny': 1, pooler: 2, strings: 3 };

const step = (kind: StepKind, model: string, inputMap: Record<string, string>, outputMap: Record<string, string>): GraphStepPlan => ({
  ...{ kind, model, version: '1', revision: REVISIONS[model] ?? 0, inputMap, outputMap },
});
const graph = (revision: number, name: string, outputs: string[], steps: GraphStepPlan[]): GraphPlan => ({
  ...{ name, version: '1', revision, fingerprint: '', lanes: ['realtime'], steps, outputs },
});
const ENCODE = step('model', 'encoder-tiny', { input_ids: 'ids', attention_mask: 'mask' }, { last_hidden_state: 'hidden' });
const POOL = step('model', 'pooler', { hidden: 'hidden', attention_mask: 'mask' }, { sentence_embedding: 'vector' });
const TOKENIZE = step('tokenizer', 'encoder-tiny', { text: 'text' }, { input_ids: 'ids', attention_mask: 'mask' });
const POOLED = step('model', 'encoder-tiny', { input_ids: 'ids', attention_mask: 'mask' }, { sentence_embedding: 'pooled' });
const HEAD = step('head', 'encoder-tiny', { sentence_embedding: 'pooled' }, { embedding: 'vector' });
const GRAPHS = [
  graph(11, 'tensors', ['vector'], [ENCODE, POOL]),
  graph(12, 'texts', ['vector'], [TOKENIZE, ENCODE, POOL]),
  graph(13, 'heads', ['vector'], [TOKENIZE, POOLED, HEAD]),
  graph(14, 'hidden', ['hidden'], [TOKENIZE, ENCODE]),
  graph(
    15,
    'misfit',
    ['vector'],
    [POOLED, step('model', 'pooler', { hidden: 'pooled', attention_mask: 'mask' }, { sentence_embedding: 'vector' })],
  ),
  graph(16, 'no-text', ['ids'], [step('tokenizer', 'pooler', { text: 'text' }, { hidden: 'ids' })]),
];

const int64 = (name: string, rows: number[][]): Tensor => ({
  ...{ name, datatype: 'INT64', shape: [rows.length, rows[0]?.length ?? 0] },
  data: new Uint8Array(BigInt64Array.from(rows.flat(), BigInt).buffer),
});
const item = (...rows: number[][]): InferenceItem => ({
  inputs: [
    int64('ids', rows),
    int64(
      'mask',
      rows.map((row) => row.map(() => 1)),
    ),
  ],
  outputs: null,
});
const texts = (...strings: string[]): InferenceItem => ({
  inputs: [{ name: 'text', datatype: 'BYTES', shape: [strings.length], data: joinStrings(strings) }],
  outputs: null,
});

/** The real runtime, with what it was asked; `before` may hold a request up. */
class Watched {
  readonly asked: InferenceRequest[] = [];
  before: (request: InferenceRequest) => Promise<void> = () => Promise.resolve();

  constructor(private readonly backend: OrtBackend) {}

  async infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    this.asked.push(request);
    await this.before(request);
    if (request.signal?.aborted === true) throw new InterleaveError('client_closed', 'the caller has gone');
    return this.backend.infer(request);
  }
}

describe('GraphBackend', () => {
  let served: ServedModels;
  let watched: Watched;
  let backend: GraphBackend;
  beforeAll(async () => {
    served = await serveModels(['encoder-tiny', 'pooler']);
  });
  afterAll(() => served.close());
  beforeEach(() => {
    watched = new Watched(served.backend);
    const steps = Object.assign(Object.create(served.backend) as OrtBackend, {
      infer: (request: InferenceRequest) => watched.infer(request),
    });
    const placement = { formatVersion: 1, partitions: [], workers: [], graphs: GRAPHS } as Placement;
    backend = new GraphBackend({ steps, placement: { placement, onChange: () => undefined } });
    const ofRevision = (revision: number) => {
      const name = Object.keys(REVISIONS).find((key) => REVISIONS[key] === revision) ?? '';
      return { model: served.catalog.find(name, '1'), policy: { cache: null, degrade: [], head: null, tokenizerDigest: null } };
    };
    backend.useTexts(Object.assign(Object.create(served.catalog) as typeof served.catalog, { ofRevision }));
  });

  const run = (model: string, items: InferenceItem[], over: Partial<InferenceRequest> = {}) =>
    backend.infer({ ...{ model, version: null, items, timeoutMs: 60_000, priority: 0, signal: null }, ...over });
  const valid = (result: ItemResult | InterleaveError | undefined): ItemResult => {
    if (result === undefined || result instanceof InterleaveError) throw result ?? new Error('no result');
    return result;
  };
  const bytes = (result: ItemResult | InterleaveError | undefined): string =>
    Buffer.from(valid(result).outputs[0]?.data ?? []).toString('hex');
  /** What encoder-tiny itself answers. */
  const whole = async (...rows: number[][]): Promise<string> => {
    const inputs = item(...rows).inputs.map((tensor) => ({ ...tensor, name: tensor.name === 'ids' ? 'input_ids' : 'attention_mask' }));
    const [result] = await served.backend.infer({
      ...{ model: 'encoder-tiny', version: '1', timeoutMs: null, priority: 0, signal: null },
      items: [{ inputs, outputs: ['sentence_embedding'] }],
    });
    return bytes(result);
  };

  it('reports a graph as a model, with the inputs and outputs of its steps', () => {
    const reports = new Map(backend.models().map((report) => [report.name, report]));
    expect(reports.get('tensors')).toMatchObject({
      ...{ revision: 11, state: 'ready' },
      signature: { inputs: [{ name: 'ids' }, { name: 'mask' }], outputs: [{ name: 'vector', shape: [-1, 128], axes: ['batch', 'fixed'] }] },
    });
    expect(reports.get('texts')).toMatchObject({ state: 'ready', signature: { inputs: [{ name: 'text', datatype: 'BYTES' }] } });
    expect(reports.get('misfit')).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('the numbers of dimensions differ') as string,
    });
    expect(reports.get('no-text')).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('step 1 pooler: its model has no tokenizer') as string,
    });
  });

  it('answers to the bit as its steps by hand, each item for itself', async () => {
    const results = await run('tensors', [item([5, 6, 7]), item([8, 9], [10, 11])]);
    expect(results.map(bytes)).toEqual([await whole([5, 6, 7]), await whole([8, 9], [10, 11])]);
    expect(watched.asked.map(({ model, items }) => [model, items.length])).toEqual([
      ['encoder-tiny', 2],
      ['pooler', 2],
    ]);
    expect(valid(results[0]).timing.steps?.map((timing) => timing.step)).toEqual(['1 encoder-tiny', '2 pooler']);
  });

  it('tokenizes rows of texts, and stacks what comes of them', async () => {
    const results = await run('texts', [texts('hello world', 'a longer one of more words')]);
    const rows = await served.catalog.find('encoder-tiny', '1').text?.encode(['hello world', 'a longer one of more words'], {
      ...{ truncate: false, topK: null, promptName: null },
    });
    const ids = rows?.map((row) => Array.from(new BigInt64Array(Uint8Array.from(row.item.inputs[0]?.data ?? []).buffer), Number)) ?? [];
    expect(valid(results[0]).outputs).toMatchObject([{ name: 'vector', shape: [2, 128] }]);
    expect(bytes(results[0])).toBe((await whole(ids[0] ?? [])) + (await whole(ids[1] ?? [])));
    expect(valid((await run('heads', [texts('hello world')]))[0]).outputs).toMatchObject([
      { name: 'vector', datatype: 'FP32', shape: [1, 128] },
    ]);
  });

  it('says which texts it cannot answer', async () => {
    const long = 'word '.repeat(5000);
    const [uneven, tooLong] = await run('hidden', [texts('hello world', 'a longer one of more words'), texts(long)]);
    expect(uneven).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('have different lengths') as string });
    expect(tooLong).toMatchObject({
      message: expect.stringMatching(/^step 1 encoder-tiny: expected at most .*; send a shorter text$/) as string,
    });
    const [broken] = (await run('texts', [texts('x')]).catch((error: unknown) => [error])) as [ItemResult];
    expect(broken).toHaveProperty('outputs');
    const data = Buffer.concat([joinStrings(['x']), Buffer.from([1])]);
    await expect(run('texts', [{ inputs: [{ name: 'text', datatype: 'BYTES', shape: [1], data }], outputs: null }])).rejects.toThrow(
      'the data goes on',
    );
  });

  it.each([
    ['a name', { inputs: [int64('nope', [[1]])], outputs: null }, 'expected one of ids, mask but received "nope"'],
    ['a type', { inputs: [{ ...int64('ids', [[1]]), datatype: 'INT32' }], outputs: null }, 'expected INT64 for ids but received INT32'],
    ['a number of dimensions', { inputs: [{ ...int64('ids', [[1]]), shape: [1] }], outputs: null }, 'expected 2 dimensions for ids'],
    ['an input too few', { inputs: [int64('ids', [[1]])], outputs: null }, 'expected input mask once but received it 0 times'],
    ['an output', { ...item([1]), outputs: ['hidden'] }, 'expected one of vector but received "hidden"'],
  ])('refuses %s that it does not have, before it runs anything', async (_, bad, message) => {
    await expect(run('tensors', [bad as InferenceItem])).rejects.toThrow(message);
    expect(watched.asked).toEqual([]);
  });

  it('leaves each step what is left of the time, and runs none after it', async () => {
    watched.before = ({ model }) => (model === 'encoder-tiny' ? new Promise((resolve) => setTimeout(resolve, 30)) : Promise.resolve());
    await run('tensors', [item([5, 6])], { timeoutMs: 1000, priority: 3, runAlone: true });
    const [first, second] = watched.asked;
    expect(first?.timeoutMs).toBeGreaterThan(second?.timeoutMs ?? Infinity);
    expect(second?.timeoutMs).toBeLessThanOrEqual(971);
    expect(second).toMatchObject({ priority: 3, runAlone: true });
    await run('tensors', [item([5, 6])], { timeoutMs: null });
    expect(watched.asked.at(-1)?.timeoutMs).toBeNull();
  });

  it('gives up with its caller, in the midst of a step', async () => {
    const caller = new AbortController();
    let begun = (): void => undefined;
    const isBegun = new Promise<void>((resolve) => (begun = resolve));
    watched.before = ({ signal }) => {
      begun();
      return new Promise((resolve) => (signal as CancelSignal).addEventListener('abort', resolve, { once: true }));
    };
    const answer = run('tensors', [item([5, 6])], { signal: caller.signal });
    await isBegun;
    caller.abort();
    await expect(answer).rejects.toMatchObject({ code: 'client_closed' });
    expect(watched.asked.map(({ model }) => model)).toEqual(['encoder-tiny']);
  });

  it('says in which step a request ended, and goes on without the items that failed', async () => {
    watched.before = ({ model }) =>
      model === 'pooler' ? Promise.reject(new InterleaveError('overloaded', 'full', { retryAfterSeconds: 2 })) : Promise.resolve();
    await expect(run('tensors', [item([5, 6])])).rejects.toMatchObject({
      code: 'overloaded',
      message: 'step 2 pooler: full',
      retryAfterSeconds: 2,
    });
    watched.before = () => Promise.resolve();
    const outOfVocabulary = item([1_000_000]);
    const [bad, good] = await run('tensors', [outOfVocabulary, item([5, 6, 7])]);
    expect(bad).toMatchObject({ code: 'inference_failed', message: expect.stringMatching(/^step 1 encoder-tiny: /) as string });
    expect(bytes(good)).toBe(await whole([5, 6, 7]));
  });

  it('answers by the files of other nodes that a request was prepared for, all steps by those of its begin', async () => {
    const steps = [ENCODE, { ...POOL, revision: ELSEWHERE }];
    const placement = {
      placement: { graphs: [graph(21, 'spread', ['vector'], steps)] } as unknown as Placement,
      onChange: () => undefined,
    };
    let changed = (): void => undefined;
    let remoteFiles = 'one';
    const asked: InferenceRequest[] = [];
    const pooler = served.backend.models().find(({ name }) => name === 'pooler')!;
    const nodes = Object.assign(Object.create(served.backend) as OrtBackend, {
      models: () => [...served.backend.models(), { ...pooler, revision: ELSEWHERE, remoteFiles }],
      onModelsChanged: (listener: () => void) => (changed = listener),
      infer: ({ revision, ...rest }: InferenceRequest) => {
        asked.push({ ...rest, ...(revision !== undefined && { revision }) });
        remoteFiles = 'two';
        changed();
        return served.backend.infer(rest);
      },
    });
    const spread = new GraphBackend({ steps: nodes, placement });
    const filesNow = () => spread.models().find(({ name }) => name === 'spread')?.remoteFiles;
    const infer = (files?: string) =>
      spread.infer({
        ...{ model: 'spread', version: '1', revision: 21, items: [item([5, 6])], timeoutMs: null, priority: 0, signal: null },
        ...(files !== undefined && { remoteFiles: files }),
      });
    const before = filesNow();
    await infer(before);
    expect(asked.map((request) => request.remoteFiles)).toEqual([null, 'one']);
    expect([filesNow() === before, filesNow()]).toEqual([false, expect.stringMatching(/^[0-9a-f]{64}$/)]);
    await expect(infer(before)).rejects.toBeInstanceOf(RevisionGone);
    await infer(filesNow());
    await infer();
    expect(asked.map((request) => request.remoteFiles)).toEqual([null, 'one', null, 'two', null, 'two']);
  });

  it('hands on what is for other models', async () => {
    const inputs = [int64('input_ids', [[5, 6]]), int64('attention_mask', [[1, 1]])];
    expect(await run('encoder-tiny', [{ inputs, outputs: null }], { version: '1' })).toHaveLength(1);
    await expect(run('nobody', [item([1])])).rejects.toMatchObject({ code: 'model_not_found' });
  });
});
