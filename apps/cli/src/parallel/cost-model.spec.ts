import { bestOf, layoutsOf, predict, type ParallelFacts } from './cost-model';

const GIB = 2 ** 30;
const FACTS: ParallelFacts = {
  cpus: 4,
  rows: 2,
  weightsBytes: 4 * GIB,
  widths: [
    { width: 1, ms: 100 },
    { width: 2, ms: 60 },
    { width: 4, ms: 40 },
  ],
  allBusyMs: 130,
  split: {
    stages: [20, 30, 30, 20].map((ms) => ({ ms, weightsBytes: GIB })),
    cutBytes: [10, 20, 30],
  },
  outside: { idleCpus: 0, requestMs: 0, stepMs: 0, mibMs: 0 },
};
const at = (stages: number, replicas: number, width: number, facts = FACTS): ReturnType<typeof predict> =>
  predict({ stages, replicas, width }, facts);

describe('what a layout of a model does', () => {
  it('lists what the CPUs have room for, once each', () => {
    const texts = layoutsOf(FACTS).map(({ stages, replicas, width }) => `${stages}x${replicas}x${width}`);
    expect(texts).toEqual(['1x1x1', '1x1x2', '1x1x4', '1x2x1', '1x2x2', '1x4x1', '2x1x1', '2x1x2', '2x2x1', '4x1x1', '4x1x2', '4x2x1']);
    expect(layoutsOf(FACTS, { stages: 1, replicas: 3, width: 1 })).toHaveLength(texts.length + 1);
    expect(layoutsOf(FACTS, { stages: 1, replicas: 4, width: 1 })).toHaveLength(texts.length);
    expect(layoutsOf({ ...FACTS, cpus: 1, widths: FACTS.widths.slice(0, 1), split: null })).toEqual([{ stages: 1, replicas: 1, width: 1 }]);
  });

  it('asks for no more stages than a model is split into', () => {
    const stages = layoutsOf({ ...FACTS, cpus: 96 }).map((layout) => layout.stages);
    expect(Math.max(...stages)).toBe(64);
  });

  it('predicts executors that share the weights', () => {
    expect(at(1, 1, 1)).toMatchObject({ latencyMs: 100, rowsPerSecond: 20, bubbleShare: 0, workerBytes: 4 * GIB, cutBytes: null });
    // Every CPU is busy: each run takes 130 ms.
    expect(at(1, 4, 1).rowsPerSecond).toBeCloseTo((4 * 2 * 1000) / 130);
    expect(at(1, 4, 1)).toMatchObject({ latencyMs: 100, totalBytes: 4 * GIB });
  });

  it('predicts wide executors by the measured curve, each with weights of its own', () => {
    expect(at(1, 1, 4)).toMatchObject({ latencyMs: 40, totalBytes: 4 * GIB });
    expect(at(1, 1, 4).rowsPerSecond).toBeCloseTo(50);
    // What the curve shows for two CPUs is theirs already: only the other two add to it.
    expect(at(1, 2, 2).rowsPerSecond).toBeCloseTo(((2 * 2 * 1000) / 60) * (1.1 / 1.3));
    expect(at(1, 2, 2).totalBytes).toBe(8 * GIB);
  });

  it('predicts stages by the slowest, and joins those of a finer split', () => {
    expect(at(4, 1, 1)).toMatchObject({ latencyMs: 100, workerBytes: GIB, totalBytes: 4 * GIB, cutBytes: 60, isAssumed: false });
    expect(at(4, 1, 1).bubbleShare).toBeCloseTo(1 - 100 / 120);
    expect(at(4, 1, 1).rowsPerSecond).toBeCloseTo((2 * 1000) / (30 * 1.3));
    expect(at(2, 1, 1)).toMatchObject({ bubbleShare: 0, workerBytes: 2 * GIB, cutBytes: 20 });
  });

  it('counts what a node and its requests take beside runs, where that takes CPUs of executors', () => {
    const facts = { ...FACTS, outside: { idleCpus: 1, requestMs: 10, stepMs: 1, mibMs: 2 } };
    expect(at(1, 1, 1, facts)).toMatchObject({ latencyMs: 110, rowsPerSecond: 20 });
    expect(at(1, 4, 1, facts).rowsPerSecond).toBeCloseTo((3 * 2 * 1000) / (130 + 10));
    // All threads of a run wait for the one that is held up.
    expect(at(1, 1, 2, facts).rowsPerSecond).toBeCloseTo(((4 / 2 - 1) * 2 * 1000) / (60 + 10));
    const split = { stages: FACTS.split?.stages ?? [], cutBytes: [2 ** 20, 2 ** 20, 2 ** 20] };
    expect(at(4, 1, 1, { ...facts, split }).latencyMs).toBeCloseTo(100 + 10 + 3 * 1 + 3 * 2);
    expect(at(2, 2, 1, { ...facts, split }).rowsPerSecond).toBeCloseTo((3 * 2 * 1000) / (130 + 10 + 1 + 2));
  });

  it('says which layouts can be run as the model lies there', () => {
    const made = layoutsOf(FACTS).filter((layout) => predict(layout, FACTS).isMade);
    expect(new Set(made.map(({ stages }) => stages))).toEqual(new Set([1, 4]));
  });

  it('puts more stages than there are CPUs on those of their neighbours', () => {
    const facts = { ...FACTS, cpus: 2, widths: FACTS.widths.slice(0, 2) };
    expect(at(4, 1, 1, facts)).toMatchObject({ bubbleShare: 0, workerBytes: 2 * GIB, cutBytes: 60 });
    expect(at(4, 1, 1, facts).rowsPerSecond).toBeCloseTo(at(2, 1, 1, facts).rowsPerSecond);
  });

  it('gives each stage as many executors as there is room for', () => {
    const widths = FACTS.widths.slice(0, 1);
    expect(layoutsOf({ ...FACTS, cpus: 6, widths })).toContainEqual({ stages: 2, replicas: 3, width: 1 });
  });

  it('joins the most stages that a split has', () => {
    const stages = Array.from({ length: 64 }, (_, i) => ({ ms: 1 + (i % 2), weightsBytes: GIB }));
    expect(at(32, 1, 1, { ...FACTS, cpus: 32, split: { stages, cutBytes: [] } }).bubbleShare).toBe(0);
  });

  it('takes only the shares of stages that were measured at another time', () => {
    const slower = { stages: [40, 60, 60, 40].map((ms) => ({ ms, weightsBytes: GIB })), cutBytes: [0, 0, 0] };
    expect(at(4, 1, 1, { ...FACTS, split: slower }).rowsPerSecond).toBeCloseTo(at(4, 1, 1).rowsPerSecond);
  });

  it('says where equal stages are only assumed', () => {
    expect(at(2, 1, 1, { ...FACTS, split: null })).toMatchObject({ isAssumed: true, cutBytes: null, workerBytes: 2 * GIB, bubbleShare: 0 });
  });

  it('chooses the most rows within goal and memory, and the least memory among equals', () => {
    const all = layoutsOf(FACTS).map((layout) => predict(layout, FACTS));
    expect(bestOf(all, null, Infinity)?.layout).toEqual({ stages: 1, replicas: 4, width: 1 });
    expect(bestOf(all, 60, Infinity)?.layout).toEqual({ stages: 4, replicas: 1, width: 2 });
    expect(bestOf(all, 40, Infinity)?.layout).toEqual({ stages: 1, replicas: 1, width: 4 });
    expect(bestOf(all, null, 3 * GIB)).toBeNull();
    expect(bestOf(all, 30, Infinity)).toBeNull();
  });

  it('prefers what is there to a split that is not, where they differ by less than a byte', () => {
    const made = { ...at(1, 4, 1), totalBytes: 100 };
    expect(bestOf([{ ...at(2, 2, 1), rowsPerSecond: made.rowsPerSecond, totalBytes: 99.9999 }, made], null, Infinity)).toBe(made);
  });
});
