import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildModels } from '../../tools/model-builder/src/models';
import { layoutOf, type Layout } from '../support/layout';
import { quantile } from '../support/statistics';
import { ARRANGEMENTS, cellsOf, isSplit, liveHalf, type Arrangement, type Cell } from './arrangements';
import type { BenchNode } from './bench-node';
import { figuresOf, othersShareOf, type CellRounds, type Figures } from './figures';
import { measure, type Loads, type Measured } from './measure';
import { NodesInTurn } from './nodes-in-turn';
import { saveFigures, splitLines, tableOf, TARGETS } from './report';

const LIVE_MODEL = 'encoder-small';
const LIVE_MIX = 'short, median 14';
const BATCH_MIX = 'lognormal, median 40';
const SEED = 17;
const ROWS = 4000;
const ROWS_IN_FLIGHT = 512;
const TIMEOUT_MS = 10_000;
const WARM_MS = 2000;
const BATCH_ALONE_MS = 8000;
const PILOT_MS = 5000;
/** Arrivals are random: so many more than asked for are expected. */
const SAMPLES_MARGIN = 1.03;
/** Share of the node's CPUs taken by others than its workers; above it a cell is measured again, so many times. */
const OTHERS_SHARE_MAX = 0.05;
const AGAIN_MAX = 3;

const USAGE = `Live p99 beside a saturating batch load, and what the batch load gets, in four arrangements:

  live alone      the live lane on the partition's CPUs, nothing else; "awake": beside an endless loop of the idle class, since a
                  CPU that sleeps between rows wakes up late and cold, which no shared arrangement suffers: the harder comparison
  static split    half of the CPUs reserved for the live lane, the other half for the batch lane
  no priorities   both lanes on the partition's CPUs, executors as ordinary threads of nice 0
  Interleave      a burstable partition: the batch lane in the cycles that the live lane leaves

One run; in each round every cell in turn, the live lane alone before and after the shared partition (A B … A), backwards in
every second round, with the same arrivals and rows; only the node that is measured runs. Open loop, Poisson, latency from the call to the client's library until
its answer (enqueue to respond); loads are sent straight into the workers' channels, the batch load with ${ROWS_IN_FLIGHT} rows in
flight, so that the runner's work does not take part. CPU 0 has generators and schedulers, the executors have the others.
A split needs at least 2 CPUs: with a partition of one it is measured on both CPUs, CPU 0 for the batch lane with the
generators beside it, and compared with "Interleave on all CPUs" at the same live rate, generators beside it as well.

  main.js [--quick] [--loads 0.2,0.5,0.7] [--arrangements ${ARRANGEMENTS.join(',')}] [--batch encoder-tiny,encoder-small]
          [--samples 5000] [--rounds 4] [--data DIR]

  The full form takes about 55 minutes on two CPUs. Needs util-linux, and root for "no priorities".

  --loads     live load: share of the partition's (in the split: of the live half's) CPU time, rows run one by one
  --data DIR  keeps models and measured costs there for the next run`;

interface Options {
  loads: number[];
  arrangements: Arrangement[];
  batchModels: string[];
  samples: number;
  rounds: number;
  dir: string;
}

interface Bench {
  options: Options;
  layout: Layout;
  nodes: NodesInTurn;
  /** Live rows that keep one CPU busy. */
  rowsPerCpuSecond: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      loads: { type: 'string', default: '0.2,0.5,0.7' },
      arrangements: { type: 'string', default: ARRANGEMENTS.join(',') },
      batch: { type: 'string', default: 'encoder-tiny,encoder-small' },
      samples: { type: 'string' },
      rounds: { type: 'string' },
      data: { type: 'string' },
    },
  });
  if (values.help) return console.log(USAGE);
  process.once('SIGTERM', () => process.exit(1));
  const dir = values.data ?? mkdtempSync(join(tmpdir(), 'mixed-'));
  try {
    await run({
      loads: values.loads.split(',').map(Number),
      arrangements: ARRANGEMENTS.filter((name) => values.arrangements.split(',').includes(name)),
      batchModels: values.batch.split(','),
      samples: Number(values.samples ?? (values.quick ? 500 : 5000)),
      rounds: Number(values.rounds ?? (values.quick ? 2 : 4)),
      dir,
    });
  } finally {
    if (values.data === undefined) rmSync(dir, { recursive: true, force: true });
  }
}

async function run(options: Options): Promise<void> {
  const layout = layoutOf(cpus().length);
  const cells = cellsOf(layout, options.arrangements, options.batchModels);
  const modelsDir = join(options.dir, 'models');
  buildModels(modelsDir, [...new Set([LIVE_MODEL, ...options.batchModels])]);
  const nodes = new NodesInTurn({ dir: options.dir, modelsDir }, layout.systemCpu);
  try {
    const bench: Bench = { options, layout, nodes, rowsPerCpuSecond: NaN };
    console.log('starting the first node, which measures what runs cost');
    bench.rowsPerCpuSecond = await pilot(bench, cells[0] as Cell);
    console.log(
      `live: ${LIVE_MODEL}, ${LIVE_MIX}, ${(1000 / bench.rowsPerCpuSecond).toFixed(2)} ms a row run alone; batch: ${options.batchModels.join(' and ')}, ${BATCH_MIX}; seed ${SEED}; executors on CPUs ${layout.partitionCpus.join(',')}, generators on ${layout.systemCpu}, split over ${layout.splitCpus.join(',')}`,
    );
    for (const load of options.loads) report(await measureLoad(bench, cells, load));
    console.log(TARGETS);
  } finally {
    await nodes.stop();
  }
}

/** Live rows that one CPU can run in a second, one after the other. */
async function pilot({ nodes, layout }: Bench, alone: Cell): Promise<number> {
  const node = await nodes.use(alone.node);
  const { live } = await measure(node, loadsOf(node, alone, null, SEED), { warmMs: WARM_MS, measureMs: PILOT_MS }, layout.systemCpu);
  const runsMs = live.map(({ runMs }) => runMs).filter(Number.isFinite);
  return (1000 * runsMs.length) / runsMs.reduce((total, runMs) => total + runMs, 0);
}

function loadsOf(node: BenchNode, { name, batchModel }: Cell, perSecond: number | null, seed: number): Loads {
  const { runDir } = node;
  return {
    live:
      name === 'batch alone'
        ? null
        : { runDir, model: LIVE_MODEL, rows: { mix: LIVE_MIX, seed, count: ROWS }, perSecond, timeoutMs: TIMEOUT_MS },
    batch:
      batchModel === null ? null : { runDir, model: batchModel, rows: { mix: BATCH_MIX, seed, count: ROWS }, rowsInFlight: ROWS_IN_FLIGHT },
    awakeCpus: name === 'live alone, awake' ? node.cpus : [],
  };
}

async function measureLoad(bench: Bench, cells: Cell[], load: number): Promise<Figures[]> {
  const { options, layout, nodes, rowsPerCpuSecond } = bench;
  const measured: CellRounds[] = cells.map((cell) => ({ cell, rounds: [] }));
  for (let round = 0; round < options.rounds; round++) {
    for (const { cell, rounds } of round % 2 === 0 ? measured : [...measured].reverse()) {
      const perSecond = load * rowsPerCpuSecond * liveCpus(cell, layout);
      const node = await nodes.use(cell.node);
      const measureMs =
        cell.name === 'batch alone' ? BATCH_ALONE_MS : (1000 * SAMPLES_MARGIN * options.samples) / perSecond / options.rounds;
      const measureOnce = () =>
        measure(node, loadsOf(node, cell, perSecond, SEED + round), { warmMs: WARM_MS, measureMs }, layout.systemCpu);
      const result = await undisturbed(cell, measureOnce);
      rounds.push(result);
      console.log(
        `load ${load}, round ${round + 1} of ${options.rounds}, ${cell.name}${cell.batchModel === null ? '' : ` beside ${cell.batchModel}`}: ${progress(result.live.map(({ latencyMs }) => latencyMs))}, ${(result.runRows / result.seconds).toFixed(0)} batch rows/s`,
      );
    }
  }
  return allFigures(load, measured);
}

/**
 * Measures again what other processes have disturbed, whatever its outcome was: on CPUs that no generator uses and no loop keeps
 * awake their share can be told.
 */
async function undisturbed({ name, node }: Cell, measureOnce: () => Promise<Measured>): Promise<Measured> {
  let result = await measureOnce();
  const canTell = name !== 'live alone, awake' && !isSplit(node);
  for (let again = 0; canTell && othersShareOf(result) > OTHERS_SHARE_MAX && again < AGAIN_MAX; again++) {
    console.log(`others took ${(100 * othersShareOf(result)).toFixed(1)} % of the CPUs meanwhile: ${name} once more`);
    result = await measureOnce();
  }
  return result;
}

/** CPUs that a live load of 1 would keep busy. */
const liveCpus = ({ node }: Cell, layout: Layout): number => (isSplit(node) ? liveHalf(layout) : layout.partitionCpus).length;

const progress = (latenciesMs: number[]): string => {
  const answered = latenciesMs.filter(Number.isFinite);
  return answered.length === 0
    ? 'no live load'
    : `${answered.length} live rows, p50 ${quantile(answered, 0.5).toFixed(1)} ms, p99 ${quantile(answered, 0.99).toFixed(1)} ms`;
};

function allFigures(load: number, measured: CellRounds[]): Figures[] {
  const [first, second] = measured.filter(({ cell }) => cell.name === 'live alone');
  const awake = measured.find(({ cell }) => cell.name === 'live alone, awake');
  if (first === undefined || second === undefined || awake === undefined)
    throw new Error('a round has the live lane alone twice, and once with its CPUs awake');
  const batchAlone = (batchModel: string | null): CellRounds | null =>
    measured.find(({ cell }) => cell.name === 'batch alone' && cell.batchModel === batchModel) ?? null;
  const shared = measured.filter(({ cell }) => cell.batchModel !== null && cell.name !== 'batch alone');
  return [first, awake, ...shared].map((one) =>
    figuresOf(load, one, { alone: [first, second], awake }, isSplit(one.cell.node) ? null : batchAlone(one.cell.batchModel)),
  );
}

function report(figures: Figures[]): void {
  console.table(tableOf(figures));
  for (const line of splitLines(figures)) console.log(line);
  saveFigures(figures, { liveModel: LIVE_MODEL, liveMix: LIVE_MIX, batchMix: BATCH_MIX, seed: SEED });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
