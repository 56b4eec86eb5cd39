import { InterleaveError, type InferenceItem, type ItemResult, type ModelReport, type ModelSignature, type Tensor } from '@app/contracts';
import { startWorker, type WorkerHandle } from '@app/native';
import { WorkerPool } from '@app/worker-pool';
import { OrtBackend } from '../fixtures/ort-backend';
import { floatsOf, randomItem, SeededRandom } from '../support/tensors';
import { allLoaded, reportsWhen, WorkerFixture } from '../support/worker-fixture';

const SEEDS = [1, 2, 3, 4, 5];
const ITEMS = 24;
/** Per model: how far shared and single runs may differ. Half precision keeps 11 bits. */
const MODELS: Record<string, number> = {
  'encoder-tiny': 1e-5,
  'no-mask': 1e-5,
  'two-axes': 1e-5,
  half: 2e-3,
  strings: 0,
  types: 0,
  fixed: 1e-5,
  'no-batch': 1e-5,
};
/** Steps that hold the only executor while the items of a case gather behind it. */
const GATE_STEPS = 8_000;

describe('rows that share a run', () => {
  const fixture = new WorkerFixture();
  const names = [...Object.keys(MODELS), 'bfloat16', 'endless'];
  let worker: WorkerHandle;
  let pool: WorkerPool;
  let reference: OrtBackend;
  let reports: ModelReport[];

  beforeAll(async () => {
    const plan = fixture.plan('all-realtime', 'realtime', names);
    fixture.place(plan);
    worker = startWorker({ plan, ortLibraryPath: null });
    pool = new WorkerPool({ lane: 'realtime', runDir: fixture.runDir });
    reports = await reportsWhen(pool, allLoaded(names.length));
    reference = await OrtBackend.load(
      plan.models.filter(({ name }) => name in MODELS).map(({ name, version, modelPath }) => ({ name, version, path: modelPath })),
    );
  });

  afterAll(async () => {
    await pool.close();
    await worker.close();
    await reference.close();
    fixture.remove();
  });

  const signatureOf = (model: string): ModelSignature => {
    const report = reports.find(({ name }) => name === model);
    if (report?.signature === undefined || report.signature === null) throw new Error(`${model} is not served: ${report?.reason}`);
    return report.signature;
  };

  const request = (model: string, items: InferenceItem[]) => ({ model, version: '1', items, timeoutMs: 60_000, priority: 0, signal: null });

  /** All items at once, behind a run that holds the executor until they wait together. */
  const inferTogether = async (model: string, items: InferenceItem[]): Promise<ItemResult[]> => {
    const gate = pool.infer(request('endless', [{ inputs: [int64('value', GATE_STEPS)], outputs: null }]));
    const results = await pool.infer(request(model, items));
    await gate;
    return results.map(resultOf);
  };

  const randomItems = (signature: ModelSignature, random: SeededRandom): InferenceItem[] =>
    Array.from({ length: ITEMS }, () =>
      randomItem(signature, { rows: random.integer(1, 3), sequence0: random.integer(1, 40), sequence1: random.integer(1, 12) }, random),
    );

  it.each(Object.entries(MODELS))('give what each gives alone: %s', async (model, tolerance) => {
    const signature = signatureOf(model);
    let sharedRuns = 0;
    for (const seed of SEEDS) {
      const items = randomItems(signature, new SeededRandom(seed));
      const together = await inferTogether(model, items);
      const alone = (await reference.infer(request(model, items))).map(resultOf);
      together.forEach((result, i) => expectSame(result.outputs, alone[i]?.outputs ?? [], tolerance, `${model}, seed ${seed}, item ${i}`));
      sharedRuns += together.filter(({ timing }, i) => timing.runRows > (items[i]?.inputs[0]?.shape[0] ?? 0)).length;
    }
    if (signature.coalesce === 'alone') expect(sharedRuns).toBe(0);
    else expect(sharedRuns).toBeGreaterThan(0);
  });

  it('leaves out items that are to run alone, whose bytes are then the same each time', async () => {
    const items = randomItems(signatureOf('encoder-tiny'), new SeededRandom(7));
    const [first, second] = [items.slice(0, 8), items.slice(8)];
    const rounds = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const gate = pool.infer(request('endless', [{ inputs: [int64('value', GATE_STEPS)], outputs: null }]));
        const [alone, others] = await Promise.all([
          pool.infer({ ...request('encoder-tiny', first), runAlone: true }),
          pool.infer(request('encoder-tiny', second)),
          gate,
        ]);
        expect(Math.max(...others.map((result) => resultOf(result).timing.runRows))).toBeGreaterThan(3);
        return alone.map(resultOf);
      }),
    );
    for (const results of rounds) {
      results.forEach(({ outputs, timing }, i) => {
        expect(timing.runRows).toBe(first[i]?.inputs[0]?.shape[0]);
        expect(outputs).toEqual(rounds[0]?.[i]?.outputs);
      });
    }
  });

  it('run an item without rows as it is', async () => {
    const empty: Tensor = { name: 'image', datatype: 'FP32', shape: [0, 3, 8, 8], data: new Uint8Array(0) };
    const [result] = await inferTogether('fixed', [{ inputs: [empty], outputs: null }]);
    expect(result).toMatchObject({ outputs: [{ shape: [0, 5], data: new Uint8Array(0) }], timing: { runRows: 0 } });
  });

  // It counts to the largest value of the whole run.
  it('are not merged where they change each other', () => {
    const { coalesce, coalesceReason } = signatureOf('endless');
    expect([coalesce, coalesceReason]).toEqual(['alone', expect.stringMatching(/^rows are not independent: /)]);
    expect(['encoder-tiny', 'two-axes', 'fixed', 'half', 'no-mask'].map((name) => signatureOf(name).coalesce)).toEqual([
      ...['padded', 'padded', 'padded'],
      'equal-length',
      'equal-length',
    ]);
  });

  it('give bfloat16 back bit for bit', async () => {
    const items = randomItems(signatureOf('bfloat16'), new SeededRandom(1));
    const results = await inferTogether('bfloat16', items);
    results.forEach(({ outputs }, i) => expect(Buffer.from(outputs[0]?.data ?? [])).toEqual(Buffer.from(items[i]?.inputs[0]?.data ?? [])));
  });
});

const int64 = (name: string, value: number): Tensor => ({
  name,
  datatype: 'INT64',
  shape: [1],
  data: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
});

function resultOf(result: ItemResult | InterleaveError): ItemResult {
  if (result instanceof InterleaveError) throw result;
  return result;
}

function expectSame(actual: Tensor[], expected: Tensor[], tolerance: number, what: string): void {
  const shapes = (tensors: Tensor[]) => tensors.map(({ name, datatype, shape }) => ({ what, name, datatype, shape }));
  expect(shapes(actual)).toEqual(shapes(expected));
  actual.forEach((tensor, i) => {
    const other = expected[i] as Tensor;
    const floats = floatsOf(tensor);
    if (floats === null) return expect(Buffer.from(tensor.data).equals(Buffer.from(other.data))).toBe(true);
    const difference = floatsOf(other)?.reduce((worst, value, k) => Math.max(worst, Math.abs(value - (floats[k] ?? NaN))), 0);
    if (!(Number(difference) <= tolerance))
      throw new Error(`${what}, output ${tensor.name}: differs by ${difference}, more than ${tolerance}`);
  });
}
