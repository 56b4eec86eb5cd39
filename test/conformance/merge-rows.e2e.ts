import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { InterleaveError, LANES, type InferenceItem, type ItemResult, type Lane, type ModelReport } from '@app/contracts';
import { startWorker, type WorkerHandle } from '@app/native';
import { WorkerPool } from '@app/worker-pool';
import { GraphBuilder, type AttributeValue } from '../../tools/model-builder/src/graph';
import { floatsOf } from '../support/tensors';
import { allLoaded, modelPlan, reportsWhen, WorkerFixture } from '../support/worker-fixture';

/** Rows of [3, 4] numbers; every step keeps the shape, with the rows first. */
const WIDTH = 3;
const DEPTH = 4;
const ITEMS = 16;
const GRAPHS = 48;
const TOLERANCE = 1e-5;

type Step = (b: GraphBuilder, x: string) => string;
const PERMUTATIONS = [
  [0, 1, 2],
  [1, 0, 2],
  [1, 2, 0],
  [2, 1, 0],
  [0, 2, 1],
  [2, 0, 1],
];
const inverse = (perm: number[]): number[] => perm.map((_, i) => perm.indexOf(i));

/** `step` with the axes in another order, so that each of them comes to be the one that it works along. */
const turned =
  (perm: number[], step: Step): Step =>
  (b, x) =>
    b.op('Transpose', [step(b, b.op('Transpose', [x], { perm }))], { perm: inverse(perm) });
const simple =
  (type: string, attributes: Record<string, AttributeValue> = {}): Step =>
  (b, x) =>
    b.op(type, [x], attributes);
const lessThe =
  (type: string, axes: number[]): Step =>
  (b, x) =>
    b.op('Sub', [x, b.op(type, [x], { axes, keepdims: 1 })]);
const cumulated =
  (axis: number): Step =>
  (b, x) =>
    b.op('CumSum', [x, b.int(axis)]);
const outerSum: Step = (b, x) => {
  const table = b.op('Flatten', [x]);
  const weights = b.op('Softmax', [b.op('MatMul', [table, b.op('Transpose', [table], { perm: [1, 0] })])], { axis: -1 });
  return b.op('Reshape', [b.op('MatMul', [weights, table]), b.ints(-1, WIDTH, DEPTH)]);
};
const folded =
  (step: Step): Step =>
  (b, x) =>
    b.op('Reshape', [step(b, b.op('Reshape', [x, b.ints(1, -1, DEPTH)])), b.ints(-1, WIDTH, DEPTH)]);
const dividedBySize =
  (axis: number): Step =>
  (b, x) =>
    b.op('Div', [x, b.op('Cast', [b.op('Gather', [b.op('Shape', [x]), b.int(axis)])], { to: b.onnxFloatType })]);
const rolled: Step = (b, x) => {
  const part = (start: number, end: number): string => b.op('Slice', [x, b.ints(start), b.ints(end), b.ints(0)]);
  return b.op('Concat', [part(1, 65_536), part(0, 1)], { axis: 0 });
};

const axis = fc.integer({ min: 0, max: 2 });
const along = fc.oneof(
  axis.map((at) => simple('Softmax', { axis: at })),
  axis.map((at) => simple('LpNormalization', { axis: at })),
  axis.map((at) => lessThe('ReduceMean', [at])),
  axis.map((at) => lessThe('ReduceMax', [at])),
  axis.map(cumulated),
  axis.map(dividedBySize),
  fc.constantFrom(lessThe('ReduceMean', [0, 1, 2]), lessThe('ReduceSum', [1, 2]), rolled, outerSum),
);
const elementwise = fc.constantFrom(simple('Tanh'), simple('Neg'), simple('Sigmoid'));
const step = fc.oneof(
  { weight: 1, arbitrary: elementwise },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...PERMUTATIONS), along).map(([perm, inner]) => turned(perm, inner)) },
  { weight: 1, arbitrary: axis.map((at) => folded(simple('Softmax', { axis: at }))) },
);
const graphs = fc.array(step, { minLength: 1, maxLength: 2 });

const build = (name: string, steps: Step[]): Uint8Array => {
  const b = new GraphBuilder(name);
  const x = b.input('x', 'FP32', ['batch', WIDTH, DEPTH]);
  b.output(
    'y',
    'FP32',
    ['batch', WIDTH, DEPTH],
    steps.reduce((value, add) => add(b, value), x),
  );
  return b.encode();
};

describe.each(LANES)('alone = together, for any neighbours, in the %s lane', (lane: Lane) => {
  const fixture = new WorkerFixture();
  const names = Array.from({ length: GRAPHS }, (_, i) => `graph-${i}`);
  let worker: WorkerHandle;
  let pool: WorkerPool;
  let reports: ModelReport[];

  beforeAll(async () => {
    fc.sample(graphs, { seed: 11, numRuns: GRAPHS }).forEach((steps, i) => {
      const path = `${fixture.modelsDir}/${names[i]}/1/model.onnx`;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, build(names[i] as string, steps));
    });
    const plan = fixture.plan(`all-${lane}`, lane, ['endless']);
    plan.models.push(...names.map((name) => modelPlan(fixture.modelsDir, name)));
    fixture.place(plan);
    worker = startWorker({ plan, ortLibraryPath: null });
    pool = new WorkerPool({ lane, runDir: fixture.runDir });
    reports = await reportsWhen(pool, allLoaded(names.length + 1));
  });

  afterAll(async () => {
    await pool.close();
    await worker.close();
    fixture.remove();
  });

  const infer = async (model: string, items: InferenceItem[]): Promise<ItemResult[]> => {
    const results = await pool.infer({ model, version: '1', items, timeoutMs: 60_000, priority: 0, signal: null });
    return results.map((result) => {
      if (result instanceof InterleaveError) throw result;
      return result;
    });
  };

  it.each(names)('%s', async (name) => {
    const values = fc.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: WIDTH * DEPTH, maxLength: WIDTH * DEPTH });
    const items = fc.sample(values, { seed: names.indexOf(name), numRuns: ITEMS }).map(item);
    const alone: ItemResult[] = [];
    for (const one of items) alone.push(...(await infer(name, [one])));
    const together = await infer(name, items);
    together.forEach(({ outputs }, i) => expectNear(outputs, alone[i]?.outputs ?? []));
  });

  it('still shares runs of graphs whose rows are independent', async () => {
    const merged = reports.filter(({ signature }) => signature?.coalesce !== 'alone').map(({ name }) => name);
    const alone = reports.filter(({ signature }) => signature?.coalesce === 'alone');
    expect(merged.length).toBeGreaterThan(GRAPHS / 8);
    expect(alone.length).toBeGreaterThan(GRAPHS / 8);
    for (const { signature } of alone.filter(({ name }) => name !== 'endless'))
      expect(signature?.coalesceReason).toMatch(/^(rows are not (proven )?independent: \w+ "|all made-up rows got the same answer)/);
  });
});

function item(values: number[]): InferenceItem {
  return {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, WIDTH, DEPTH], data: new Uint8Array(Float32Array.from(values).buffer) }],
    outputs: null,
  };
}

function expectNear(actual: ItemResult['outputs'], expected: ItemResult['outputs']): void {
  const [a, b] = [actual, expected].map(([tensor]) => (tensor === undefined ? null : floatsOf(tensor)));
  if (!a || !b) throw new Error('an output is missing');
  expect(a.length).toBe(WIDTH * DEPTH);
  a.forEach((value, i) => expect(Math.abs(value - (b[i] as number))).toBeLessThanOrEqual(TOLERANCE * Math.max(1, Math.abs(value))));
}
