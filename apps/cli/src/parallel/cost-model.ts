const MIB = 2 ** 20;

/** A graph of models has at most so many steps. */
export const STAGES_MAX = 64;

/** How a model is laid out on CPUs: so many stages, each run by so many executors, each of so many threads. */
export interface Layout {
  stages: number;
  replicas: number;
  width: number;
}

export const isSameLayout = (a: Layout, b: Layout): boolean => a.stages === b.stages && a.replicas === b.replicas && a.width === b.width;

/** One run on one thread, and the weights that it reads. */
export interface StageFacts {
  ms: number;
  weightsBytes: number;
}

/** What was measured, all of it with runs of the same rows and length. */
export interface ParallelFacts {
  cpus: number;
  /** Of a run. */
  rows: number;
  weightsBytes: number;
  /** Of the whole model on an otherwise idle machine; ascends by width, which begins with 1. */
  widths: readonly { width: number; ms: number }[];
  /** Of the whole model on one thread while every CPU has such a run: they share caches and memory. */
  allBusyMs: number;
  /** The stages that `interleave split` made, and the bytes that go from each to the next; null: it is not split. */
  split: { stages: readonly StageFacts[]; cutBytes: readonly number[] } | null;
  outside: OutsideFacts;
}

/** What takes CPUs beside runs. */
export interface OutsideFacts {
  /** CPUs that a node takes while nobody asks for anything. */
  idleCpus: number;
  /** CPU time of a request: of the API, of channels, and of a caller on the same machine. */
  requestMs: number;
  /** Of each further stage, and of each MiB that goes there. */
  stepMs: number;
  mibMs: number;
}

export interface Prediction {
  layout: Layout;
  /** Of one request that has the machine for itself. */
  latencyMs: number;
  /** With every executor busy. */
  rowsPerSecond: number;
  /** Part of the executors' time in which the others wait for the slowest stage. */
  bubbleShare: number;
  /** Weights of the largest worker, and of all. Executors of one thread share them; wider ones have their own. */
  workerBytes: number;
  totalBytes: number;
  /** From stage to stage for one run; null: not known, or there is one stage. */
  cutBytes: number | null;
  /** There is no split so fine: stages are taken to be equal. */
  isAssumed: boolean;
  /** Its models are there: the whole one, or the stages of the split. */
  isMade: boolean;
}

/** 1, 2, 4 … and all. */
export const countsUpTo = (cpus: number): number[] =>
  Array.from({ length: cpus }, (_, i) => i + 1).filter((count) => (count & (count - 1)) === 0 || count === cpus);

/** The layouts that a machine has room for, and the split that there is where it has more stages than that. `present`: that one too. */
export function layoutsOf({ cpus, widths, split }: ParallelFacts, present: Layout | null = null): Layout[] {
  const counts = countsUpTo(cpus);
  const stageCounts = [...counts.filter((count) => count <= STAGES_MAX), split?.stages.length ?? 1];
  const layouts = stageCounts.flatMap((stages) =>
    widths.flatMap(({ width }) =>
      [...counts, Math.max(1, Math.floor(cpus / (stages * width)))].map((replicas) => ({ stages, replicas, width })),
    ),
  );
  const isMade = ({ stages, replicas, width }: Layout): boolean => stages === split?.stages.length && replicas * width * 2 <= cpus;
  const fits = (layout: Layout): boolean => layout.stages * layout.replicas * layout.width <= cpus || isMade(layout);
  const keyOf = ({ stages, replicas, width }: Layout): string => `${stages} ${replicas} ${width}`;
  const all = [...layouts.filter(fits), ...(present === null ? [] : [present])];
  return [...new Map(all.map((layout) => [keyOf(layout), layout])).values()].sort(
    (a, b) => a.stages - b.stages || a.replicas - b.replicas || a.width - b.width,
  );
}

/** So many sets of CPUs has a layout: one for each stage, or fewer that stages share. */
export const setsOf = ({ stages, replicas, width }: Layout, cpus: number): number =>
  Math.max(1, Math.min(stages, Math.floor(cpus / (replicas * width))));

/** The set on which a stage runs: neighbours share one. */
export const setOfStage = (stage: number, stages: number, sets: number): number => Math.floor((stage * sets) / stages);

/**
 * What a layout is to do. Stages that find no CPUs of their own share those of their neighbours. Rows a second are those of the slowest
 * stage, or fewer where all CPUs together have not the time: what a node and its requests take outside of runs comes from the same CPUs,
 * and holds up all threads of a run. So CPUs are counted in runs that they have room for at once.
 */
export function predict(layout: Layout, facts: ParallelFacts): Prediction {
  const { stages, replicas, width } = layout;
  const parts = stagesOf(stages, facts);
  const setCount = setsOf(layout, facts.cpus);
  const sets = Array.from({ length: setCount }, (_, i) => parts.stages.filter((_stage, s) => setOfStage(s, stages, setCount) === i));
  const setMs = sets.map(sumOfMs);
  const gain = atWidth(width, facts) / atWidth(1, facts);
  const slowdown = slowdownOf(sets.length * replicas * width, facts) / slowdownOf(width, facts);
  const runMs = sum(setMs) * gain;
  const outsideMs = outsideOf(stages, parts.cutBytes ?? 0, facts.outside);
  const ofStagesPerMs = replicas / (Math.max(...setMs) * gain * slowdown);
  const ofCpusPerMs = (facts.cpus / width - facts.outside.idleCpus) / (runMs * slowdown + outsideMs);
  const copies = width === 1 ? 1 : replicas;
  const bytes = sets.map((set) => copies * set.reduce((total, { weightsBytes }) => total + weightsBytes, 0));
  return {
    layout,
    latencyMs: runMs + outsideMs,
    rowsPerSecond: 1000 * facts.rows * Math.min(ofStagesPerMs, ofCpusPerMs),
    bubbleShare: 1 - sum(setMs) / (sets.length * Math.max(...setMs)),
    workerBytes: Math.max(...bytes),
    totalBytes: sum(bytes),
    cutBytes: parts.cutBytes,
    isAssumed: parts.isAssumed,
    isMade: stages === 1 || stages === facts.split?.stages.length,
  };
}

const outsideOf = (stages: number, cutBytes: number, { requestMs, stepMs, mibMs }: OutsideFacts): number =>
  requestMs + (stages - 1) * stepMs + (cutBytes / MIB) * mibMs;

/**
 * The most rows a second within the goal; among those within 5 % of the most, the least memory, models that are there, and the fewest
 * stages. Null: none is within the goal, or there is no memory for any.
 */
export function bestOf(predictions: readonly Prediction[], goalMs: number | null, memoryBytes: number): Prediction | null {
  const within = predictions.filter(({ latencyMs, totalBytes }) => latencyMs <= (goalMs ?? Infinity) && totalBytes <= memoryBytes);
  const most = Math.max(...within.map(({ rowsPerSecond }) => rowsPerSecond));
  const near = within.filter(({ rowsPerSecond }) => rowsPerSecond >= 0.95 * most);
  const bytesOf = ({ totalBytes }: Prediction): number => Math.round(totalBytes);
  return (
    near.sort((a, b) => bytesOf(a) - bytesOf(b) || Number(b.isMade) - Number(a.isMade) || a.layout.stages - b.layout.stages)[0] ?? null
  );
}

interface Parts {
  stages: readonly StageFacts[];
  cutBytes: number | null;
  isAssumed: boolean;
}

/** Stages of a finer split together make those of a coarser one. */
function stagesOf(count: number, facts: ParallelFacts): Parts {
  const { split, weightsBytes } = facts;
  const whole = { ms: atWidth(1, facts), weightsBytes };
  if (count === 1) return { stages: [whole], cutBytes: null, isAssumed: false };
  if (split === null || split.stages.length < count) {
    const equal = { ms: whole.ms / count, weightsBytes: weightsBytes / count };
    return { stages: Array.from({ length: count }, () => equal), cutBytes: null, isAssumed: true };
  }
  // Stages were measured at another time than the whole: only their shares count.
  const scale = whole.ms / sumOfMs(split.stages);
  const groups = grouped(split.stages, count);
  const ends = groups.slice(0, -1).map((_, i) => sum(groups.slice(0, i + 1).map(({ length }) => length)));
  return {
    stages: groups.map((group) => ({ ms: sumOfMs(group) * scale, weightsBytes: sum(group.map((stage) => stage.weightsBytes)) })),
    cutBytes: sum(ends.map((end) => split.cutBytes[end - 1] ?? 0)),
    isAssumed: false,
  };
}

/** Neighbouring stages in so many groups that the slowest takes least. */
function grouped(stages: readonly StageFacts[], count: number): StageFacts[][] {
  // Of the stages from `first` on in `left` groups: the same rest comes after many beginnings.
  const known = new Map<string, StageFacts[][]>();
  const best = (first: number, left: number): StageFacts[][] => {
    const key = `${first} ${left}`;
    const groups = known.get(key) ?? search(first, left);
    known.set(key, groups);
    return groups;
  };
  const search = (first: number, left: number): StageFacts[][] => {
    if (left === 1) return [stages.slice(first)];
    let least: StageFacts[][] = [];
    for (let end = first + 1; end <= stages.length - left + 1; end++) {
      const groups = [stages.slice(first, end), ...best(end, left - 1)];
      if (least.length === 0 || slowest(groups) < slowest(least)) least = groups;
    }
    return least;
  };
  return best(0, count);
}

function atWidth(width: number, { widths }: ParallelFacts): number {
  const measured = widths.find((each) => each.width === width);
  if (measured === undefined) throw new Error(`width ${width} was not measured`);
  return measured.ms;
}

/** Of a run while so many CPUs compute, in proportion between one CPU and all. */
function slowdownOf(busy: number, facts: ParallelFacts): number {
  if (facts.cpus === 1) return 1;
  return 1 + ((facts.allBusyMs / atWidth(1, facts) - 1) * (busy - 1)) / (facts.cpus - 1);
}

const slowest = (groups: readonly StageFacts[][]): number => Math.max(...groups.map(sumOfMs));
const sumOfMs = (stages: readonly StageFacts[]): number => sum(stages.map(({ ms }) => ms));
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
