import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { submitEmbeddings } from '../../test/support/batch-job';
import { Scrape } from '../../test/support/metrics';
import { Stack, until } from '../../test/support/stack';
import { figuresOf } from '../peers/figures';
import { send, type Pattern } from '../peers/load/load';
import { quantile } from '../support/statistics';
import { CpuWatch, type ProcessCpu } from './cpu-watch';

/**
 * What a caller sees over HTTP, from when a request was due to its answer, in the default configuration: API, runner, Redis, executors and
 * the callers themselves on the same CPUs. Alone, and beside a batch of texts that are parsed, tokenized, run and written meanwhile; the
 * same batch, paused and resumed in turns (alone, beside, beside, alone), so that drift of the machine meets both alike.
 */
const LIVE_MODEL = 'encoder-small';
const BATCH_MODEL = 'encoder-tiny';
/** More than the batch lane runs on a CPU, so that the batch does not end before the last turn. */
const BATCH_ROWS_PER_CPU_SECOND = 4000;
/** The lines of a batch are one string of at most 512 MiB, 213 bytes a row. */
const BATCH_ROWS_MAX = 2_400_000;
/** Of a turn, beside the load. */
const TURN_OVERHEAD_SECONDS = 5;
const WORDS = ['time', 'river', 'the', 'house', 'of', 'green', 'letters', 'was', 'seen', 'by', 'nobody', 'in', 'winter'];
const WARM_MS = 1000;
const CAPACITY_MS = 8000;
const CALLERS = 16;
const READY_MS_MAX = 300_000;
const RESULTS = join('bench', 'results', 'callers.json');

type Phase = 'alone' | 'beside';
const TURNS: Phase[] = ['alone', 'beside', 'beside', 'alone'];

interface Measured {
  phase: Phase;
  latenciesMs: number[];
  batchRowsPerSecond: number;
  cpu: ProcessCpu[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      shares: { type: 'string', default: '0.2,0.5' },
      rounds: { type: 'string', default: '4' },
      seconds: { type: 'string', default: '12' },
    },
  });
  const durationMs = Number(values.seconds) * 1000;
  const results: object[] = [];
  for (const share of values.shares.split(',').map(Number)) {
    const stack = await Stack.start({ models: [LIVE_MODEL, BATCH_MODEL] });
    try {
      results.push(await measureShare(stack, share, Number(values.rounds), durationMs));
    } finally {
      await stack.stop();
    }
  }
  mkdirSync(join('bench', 'results'), { recursive: true });
  const machine = { cpus: availableParallelism(), node: process.version };
  writeFileSync(RESULTS, `${JSON.stringify({ machine, seconds: durationMs / 1000, results }, null, 2)}\n`);
}

async function measureShare(stack: Stack, share: number, rounds: number, durationMs: number): Promise<object> {
  await untilMeasured(stack);
  const load = async (pattern: Pattern, seed: number, ms: number) =>
    send({ peer: 'interleave', url: stack.url, pattern, timeoutMs: null, seed, warmMs: WARM_MS, durationMs: ms });
  const capacity = figuresOf(await load({ callers: CALLERS }, 1, CAPACITY_MS), { durationMs: CAPACITY_MS, deadlineMs: Infinity });
  const perSecond = share * capacity.answeredPerSecond;
  const batchSeconds = rounds * TURNS.filter((phase) => phase === 'beside').length * (durationMs / 1000 + TURN_OVERHEAD_SECONDS);
  const batchRows = Math.min(BATCH_ROWS_MAX, batchSeconds * BATCH_ROWS_PER_CPU_SECOND * availableParallelism());
  const batch = await submitEmbeddings(stack, BATCH_MODEL, texts(batchRows));
  await until(async () => (await rowsDone(stack)) > 0, READY_MS_MAX, () => 'the batch does not start'); // oxfmt-ignore
  const measured: Measured[] = [];
  for (let turn = 0; turn < rounds * TURNS.length; turn++) {
    const phase = TURNS[turn % TURNS.length] ?? 'alone';
    await change(stack, batch, phase === 'alone' ? 'pause' : 'resume');
    const watch = await CpuWatch.begin(stack);
    const [before, startMs] = [await rowsDone(stack), performance.now()];
    const outcomes = await load({ perSecond, giveUpMs: null }, 2 + turn, durationMs);
    const seconds = (performance.now() - startMs) / 1000;
    measured.push({
      phase,
      latenciesMs: outcomes.map(({ status, latencyMs }) => (status === 200 ? latencyMs : Infinity)),
      batchRowsPerSecond: ((await rowsDone(stack)) - before) / seconds,
      cpu: watch.end(),
    });
  }
  return report(share, perSecond, measured);
}

function report(share: number, perSecond: number, measured: Measured[]): object {
  const of = (phase: Phase) => measured.filter((each) => each.phase === phase);
  const p = (turns: Measured[], level: number) => quantile(turns.flatMap(({ latenciesMs }) => latenciesMs), level); // oxfmt-ignore
  const [alone, beside] = [of('alone'), of('beside')];
  const meanRows = (turns: Measured[]) => turns.reduce((sum, each) => sum + each.batchRowsPerSecond, 0) / turns.length;
  const ratio = (level: number) => p(beside, level) / p(alone, level);
  // Of the same situation: how far figures differ by chance.
  const noise = p(alone.filter((_, index) => index % 2 === 1), 0.99) / p(alone.filter((_, index) => index % 2 === 0), 0.99); // oxfmt-ignore
  const figures = {
    liveShare: share,
    livePerSecond: perSecond,
    requests: {
      alone: alone.flatMap(({ latenciesMs }) => latenciesMs).length,
      beside: beside.flatMap(({ latenciesMs }) => latenciesMs).length,
    },
    aloneMs: { p50: p(alone, 0.5), p99: p(alone, 0.99) },
    besideMs: { p50: p(beside, 0.5), p99: p(beside, 0.99) },
    ratio: { p50: ratio(0.5), p99: ratio(0.99), aloneP99OfItself: noise },
    batchRowsPerSecond: { alone: meanRows(alone), beside: meanRows(beside) },
  };
  console.log(JSON.stringify(figures, null, 2));
  const cpu = { alone: CpuWatch.mean(alone.map((each) => each.cpu)), beside: CpuWatch.mean(beside.map((each) => each.cpu)) };
  for (const phase of ['alone', 'beside'] as const) {
    console.log(`${phase}: ms a second on a CPU, and runnable without one`);
    console.table(cpu[phase]);
  }
  return { ...figures, cpu };
}

const rowsDone = async (stack: Stack): Promise<number> =>
  (await Scrape.of(stack.url)).sum('interleave_items_total', { lane: 'batch', outcome: 'ok' });

async function change(stack: Stack, batch: string, action: 'pause' | 'resume'): Promise<void> {
  const answer = await fetch(`${stack.url}/v1/batches/${batch}/${action}`, { method: 'POST' });
  if (!answer.ok && answer.status !== 409) throw new Error(`${action}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
  // What has begun is ended first.
  let rows = await rowsDone(stack);
  const isSo = async (): Promise<boolean> => {
    const before = rows;
    await sleep(WARM_MS);
    rows = await rowsDone(stack);
    return rows > before === (action === 'resume');
  };
  await until(isSo, READY_MS_MAX, () => `the batch does not ${action} after ${rows} rows`);
}

async function untilMeasured(stack: Stack): Promise<void> {
  const isMeasured = async () => (await Scrape.of(stack.url)).sum('interleave_calibration_state', { state: 'measured' }) === 4;
  await until(isMeasured, READY_MS_MAX, () => 'the models are not measured');
}

function* texts(rows: number): Generator<string> {
  for (let row = 0; row < rows; row++) {
    const words = Array.from({ length: 4 + ((row * 7) % 20) }, (_, index) => WORDS[(row * 31 + index * 17) % WORDS.length]);
    yield `${row} ${words.join(' ')}`;
  }
}

void main();
