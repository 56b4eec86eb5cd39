import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../../test/support/tensors';
import { Stack } from '../../test/support/stack';
import { BareRunner } from '../support/bare-runner';
import { NodeCpu } from '../support/process-cpu';
import { LENGTH_MIXES } from '../support/lengths';
import { calibratedTable, runBatch, tokenCounts, type BatchTimes } from '../support/server-batch';
import { median } from '../support/statistics';
import { BASELINES } from './baselines';
import { TransformersRunner } from './transformers-runner';

/**
 * Rows per second of the running server's batch lane against bare session calls on as many pinned threads: the oracle,
 * which knows all rows in advance and divides them best by the measured costs, and the usual ways to batch. In turns
 * (half of the oracle's runs, server, the other half, baselines, …), so that drift of the machine meets all alike; ratios
 * are medians over the rounds.
 *   main.js [--rounds N] [MIX...]   of `LENGTH_MIXES`, by their first word; default: all
 */
const MODEL = 'encoder-small';
const OUTPUT = 'sentence_embedding';
const WORKER = 'default-batch';
const ROWS = 2000;
/** The baselines run this share of the rows each round, others in each: they take long. */
const BASELINE_SHARE = 0.05;
const ROUNDS_DEFAULT = 5;
const SEED = 11;
const ORACLE_SHARE_GOAL = 0.97;
const ORACLE_SHARE_LIMIT = 0.92;
const PADDED_SHARE_LIMIT = 0.03;
const TRANSFORMERS = '@huggingface/transformers, 32 rows';
const RESULTS = join('bench', 'results', 'offline.json');

interface Contenders {
  stack: Stack;
  bare: BareRunner;
  transformers: TransformersRunner;
}

interface Mix {
  mix: string;
  table: { name: string; rowsPerSecond: number; ofOracle: number; rounds: number[] }[];
  paddedShare: number;
  /** Outside of the rows' own time, which the rates are of: medians. */
  server: BatchTimes;
  /** Where the CPUs' time went from upload to output, in ms of a row: medians. */
  cpuMs: CpuMs;
}

/** What the server lacks of the oracle: runs that cost more, other processes, and idle CPUs. */
interface CpuMs {
  /** All CPUs, in the oracle's time. */
  oracle: number;
  worker: number;
  others: number;
  idle: number;
}

async function main(): Promise<void> {
  const { values, positionals: chosen } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string', default: String(ROUNDS_DEFAULT) } },
  });
  const rounds = Number(values.rounds);
  const mixes = Object.keys(LENGTH_MIXES).filter((name) => chosen.length === 0 || chosen.some((word) => name.startsWith(word)));
  const stack = await Stack.start({ models: [MODEL] });
  const cpuNumbers = cpus().map((_, index) => index);
  let bare: BareRunner | null = null;
  try {
    bare = new BareRunner({ modelPath: join(stack.dir, 'models', MODEL, 'model.onnx'), output: OUTPUT, cpus: cpuNumbers });
    const transformers = await TransformersRunner.open(join(stack.dir, 'models', MODEL), cpuNumbers.length);
    await bare.setTable(await calibratedTable(stack, WORKER));
    console.log(
      `${MODEL}, ${ROWS} rows a mix, seed ${SEED}, ${rounds} rounds, executors and bare threads on CPUs ${cpuNumbers.join(', ')}`,
    );
    await runBatch(stack, MODEL, rowsOf(mixes[0] ?? '', SEED + 1).slice(0, 64));
    for (const mix of mixes) report(await runMix({ stack, bare, transformers }, mix, rounds));
  } finally {
    await bare?.close();
    await stack.stop();
  }
}

function rowsOf(mix: string, seed: number): number[][] {
  const random = new SeededRandom(seed);
  const lengthOf = LENGTH_MIXES[mix] ?? (() => 1);
  return Array.from({ length: ROWS }, () => Array.from({ length: lengthOf(random) }, () => random.integer(1000, 30_000)));
}

async function runMix({ stack, bare, transformers }: Contenders, mix: string, rounds: number): Promise<Mix> {
  const rows = rowsOf(mix, SEED);
  const lengths = rows.map(({ length }) => length);
  const oracleRuns = await bare.bestRuns(lengths);
  const rates: Record<string, number[]> = {};
  const times: BatchTimes[] = [];
  const cpuMs: CpuMs[] = [];
  const cpu = await NodeCpu.of(stack);
  const before = await tokenCounts(stack, WORKER);
  for (let round = 0; round < rounds; round++) {
    const halves = [0, 1].map((half) => oracleRuns.filter((_, index) => index % 2 === half));
    const firstSeconds = await bare.seconds(halves[0] ?? []);
    const cpuBefore = cpu.now();
    const server = await runBatch(stack, MODEL, rows);
    const cpuAfter = cpu.now();
    const oracleSeconds = firstSeconds + (await bare.seconds(halves[1] ?? []));
    times.push(server);
    cpuMs.push(cpuMsOfRow(server, oracleSeconds, Object.keys(cpuAfter), (id) => (cpuAfter[id] ?? 0) - (cpuBefore[id] ?? 0)));
    (rates['server'] ??= []).push(ROWS / server.runSeconds);
    (rates['oracle'] ??= []).push(ROWS / oracleSeconds);
    const partRows = ROWS * BASELINE_SHARE;
    const part = lengths.slice(round * partRows, (round + 1) * partRows);
    // As many rows of the whole mix as have the tokens of this part, which may be longer or shorter than usual.
    const equalRows = (ROWS * sum(part)) / sum(lengths);
    for (const [name, runsOf] of Object.entries(BASELINES)) (rates[name] ??= []).push(equalRows / (await bare.seconds(runsOf(part))));
    (rates[TRANSFORMERS] ??= []).push(equalRows / (await transformers.seconds(rows.slice(round * partRows, (round + 1) * partRows))));
  }
  const after = await tokenCounts(stack, WORKER);
  const padding = after.padding - before.padding;
  const ofOracle = (samples: number[]): number => median(samples.map((rate, round) => rate / (rates['oracle']?.[round] ?? NaN)));
  return {
    mix,
    table: Object.entries(rates).map(([name, samples]) => ({
      name,
      rowsPerSecond: median(samples),
      ofOracle: ofOracle(samples),
      rounds: samples,
    })),
    paddedShare: padding / (after.real - before.real + padding),
    server: {
      beforeSeconds: median(times.map(({ beforeSeconds }) => beforeSeconds)),
      runSeconds: median(times.map(({ runSeconds }) => runSeconds)),
      afterSeconds: median(times.map(({ afterSeconds }) => afterSeconds)),
    },
    cpuMs: {
      oracle: median(cpuMs.map(({ oracle }) => oracle)),
      worker: median(cpuMs.map(({ worker }) => worker)),
      others: median(cpuMs.map(({ others }) => others)),
      idle: median(cpuMs.map(({ idle }) => idle)),
    },
  };
}

/** What `of` says of each process of the node, in ms. */
function cpuMsOfRow(server: BatchTimes, oracleSeconds: number, ids: string[], of: (id: string) => number): CpuMs {
  const seconds = server.beforeSeconds + server.runSeconds + server.afterSeconds;
  const worker = of(WORKER);
  const others = ids.filter((id) => id !== WORKER).reduce((ms, id) => ms + of(id), 0);
  return {
    oracle: (1000 * oracleSeconds * cpus().length) / ROWS,
    worker: worker / ROWS,
    others: others / ROWS,
    idle: (1000 * seconds * cpus().length - worker - others) / ROWS,
  };
}

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

function report(result: Mix): void {
  const { mix, table, paddedShare, server, cpuMs } = result;
  console.log(`\n${mix}`);
  console.table(
    table.map(({ name, rowsPerSecond, ofOracle }) => ({ name, 'rows/s': rowsPerSecond.toFixed(1), 'of the oracle': ofOracle.toFixed(3) })),
  );
  console.log(`padded share ${(100 * paddedShare).toFixed(2)} %; limit ${100 * PADDED_SHARE_LIMIT} %`);
  console.log(
    `server: limit ${ORACLE_SHARE_LIMIT} of the oracle, goal ${ORACLE_SHARE_GOAL}; upload and validation ${server.beforeSeconds.toFixed(2)} s, rows ${server.runSeconds.toFixed(2)} s, output file ${server.afterSeconds.toFixed(2)} s`,
  );
  console.log(
    `CPU ms a row: oracle ${cpuMs.oracle.toFixed(2)}; server's worker ${cpuMs.worker.toFixed(2)}, its other processes but the scheduler ` +
      `${cpuMs.others.toFixed(2)}, idle or taken by others ${cpuMs.idle.toFixed(2)}`,
  );
  const known = existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as { mixes: Mix[] }).mixes : [];
  const mixes = [...known.filter((other) => other.mix !== mix), result];
  mkdirSync(join('bench', 'results'), { recursive: true });
  writeFileSync(
    RESULTS,
    `${JSON.stringify({ model: MODEL, rows: ROWS, seed: SEED, cpu: cpus()[0]?.model, cpus: cpus().length, mixes }, null, 2)}\n`,
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
