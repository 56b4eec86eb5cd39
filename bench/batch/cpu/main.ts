import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BatchStore, isTerminal, LocalStore } from '@app/batches';
import { openaiClient } from '../../../test/support/batch-job';
import { residentMiB, Stack } from '../../../test/support/stack';
import { SeededRandom } from '../../../test/support/tensors';
import { BareRunner, type Run } from '../../support/bare-runner';
import { NodeCpu } from '../../support/process-cpu';
import { calibratedTable, runSeconds } from '../../support/server-batch';
import { canProfile, hottest, msByStage, RemoteProfiler } from './profile';
import { stageOf } from './stages';

/**
 * CPU time a row of the processes around a batch, and what the runner's main thread does with it: short texts through `encoder-tiny`.
 * And the batch's time, from upload to the last row, by that of bare session runs on all CPUs, the best ones for such texts, of which half
 * are run before and half after it. Not with --duplicates or --deterministic, which change what is run.
 *   node --experimental-websocket main.js [--rows N] [--encoding float|base64] [--duplicates SHARE] [--deterministic] [--no-profile]
 */
const MODEL = 'encoder-tiny';
const WORKER = 'default-batch';
const SEED = 5;
const LOOK_MS = 50;
const BARE_ROWS = 40_000;
/** `http.requestItemsMax` allows 2048. */
const TOKENIZED_AT_ONCE = 2000;
const GOAL_US = 40;
const WALL_GOAL = 1.1;
const HOTTEST = 25;
const RESULTS = join('bench', 'results', 'batch-cpu.json');
const WORDS =
  'a the order arrived late but works well thanks for fast service never again bad good box broken screen phone light red'.split(' ');

interface Options {
  rows: number;
  encoding: 'float' | 'base64';
  duplicates: number;
  deterministic: boolean;
  profiles: boolean;
}

/** Of CPU time, in ms. */
type CpuTimes = Record<string, number>;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '50000' },
      encoding: { type: 'string', default: 'float' },
      duplicates: { type: 'string', default: '0' },
      deterministic: { type: 'boolean', default: false },
      'no-profile': { type: 'boolean', default: false },
    },
  });
  const options: Options = {
    rows: Number(values.rows),
    encoding: values.encoding === 'base64' ? 'base64' : 'float',
    duplicates: Number(values.duplicates),
    deterministic: values.deterministic,
    profiles: canProfile && !values['no-profile'],
  };
  const stack = await Stack.start({ models: [MODEL] });
  try {
    const bare = await BareTexts.open(stack, options.rows);
    await runBatch(stack, { ...options, rows: 2000 });
    const before = await bare.rowSeconds();
    const plain = { ...(await runBatch(stack, options)), bareRowUs: [before, await bare.rowSeconds()].map((seconds) => seconds * 1e6) };
    await bare.close();
    report(options, plain);
    if (!options.profiles) return;
    const profiler = await RemoteProfiler.open(await stack.pidOf('runner'), () => stack.log());
    await profiler.start();
    await runBatch(stack, options);
    const profile = await profiler.stop();
    const stages = msByStage(profile, stageOf);
    stages.delete('idle');
    const perRow = [...stages].map(([stage, ms]) => ({ stage, us: (ms * 1000) / options.rows })).sort((a, b) => b.us - a.us);
    console.log("\nThe runner's main thread, with the profiler, us a row");
    console.table(perRow.map(({ stage, us }) => ({ stage, 'us/row': us.toFixed(1) })));
    const functions = hottest(profile, HOTTEST).map(({ name, ms }) => ({ name, us: (ms * 1000) / options.rows }));
    console.table(functions.map(({ name, us }) => ({ function: name, 'us/row': us.toFixed(1) })));
    save({ options, cpu: cpus()[0]?.model, ...plain, stages: perRow });
  } finally {
    await stack.stop();
  }
}

/** Bare session runs of texts as the batch has them. */
class BareTexts {
  private constructor(
    private readonly runner: BareRunner,
    private readonly halves: Run[][],
  ) {}

  /** `rows`: of the batch. */
  static async open(stack: Stack, rows: number): Promise<BareTexts> {
    const table = await calibratedTable(stack, WORKER);
    const modelPath = join(stack.dir, 'models', MODEL, 'model.onnx');
    const runner = new BareRunner({ modelPath, output: 'sentence_embedding', cpus: cpus().map((_, index) => index) });
    await runner.setTable(table);
    const runs = await runner.bestRuns(await tokenLengths(stack, rows));
    return new BareTexts(
      runner,
      [0, 1].map((half) => runs.filter((_, index) => index % 2 === half)),
    );
  }

  /** Of the next half. */
  async rowSeconds(): Promise<number> {
    const runs = this.halves.shift() ?? [];
    return (await this.runner.seconds(runs)) / runs.reduce((rows, run) => rows + run.rows, 0);
  }

  close(): Promise<void> {
    return this.runner.close();
  }
}

/** Of texts from all over the batch: the numbers of later rows have more tokens. */
async function tokenLengths(stack: Stack, rows: number): Promise<number[]> {
  const random = new SeededRandom(SEED);
  const lengths: number[] = [];
  for (let row = 0; row < BARE_ROWS; row += TOKENIZED_AT_ONCE) {
    const input = Array.from({ length: TOKENIZED_AT_ONCE }, (_, i) => textOf(random, Math.floor(((row + i) * rows) / BARE_ROWS)));
    const response = await fetch(`${stack.url}/v1/tokenize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, input }),
    });
    const { data } = (await response.json()) as { data: { count: number }[] };
    lengths.push(...data.map(({ count }) => count));
  }
  return lengths;
}

async function runBatch(stack: Stack, options: Options) {
  const cpu = await NodeCpu.of(stack);
  const path = join(stack.dir, 'rows.jsonl');
  const inputBytes = await writeRows(path, options);
  const client = openaiClient(stack);
  const store = new BatchStore(new LocalStore(join(stack.dir, 'data')));
  const [cpu0, run0, startMs] = [cpu.now(), await runSeconds(stack, WORKER), performance.now()];
  const file = await client.files.create({ file: createReadStream(path), purpose: 'batch' });
  const [cpu1, uploadedMs] = [cpu.now(), performance.now()];
  const body = {
    input_file_id: file.id,
    endpoint: '/v1/embeddings' as const,
    completion_window: '24h' as const,
    deterministic: options.deterministic,
  };
  const { id } = await client.batches.create(body);
  let [cpu2, validatedMs] = [cpu1, uploadedMs];
  const resident: Record<string, number> = {};
  for (let isRunning = false; ;) {
    const manifest = await store.read(id);
    const status = manifest?.batch.status ?? 'validating';
    if (!isRunning && status !== 'validating') [isRunning, cpu2, validatedMs] = [true, cpu.now(), performance.now()];
    for (const process of ['runner', 'api-1', 'api-2', 'redis'])
      resident[process] = Math.max(resident[process] ?? 0, residentMiB(cpu.pids[process] ?? 0));
    if (status === 'completed' && manifest?.batch.request_counts.completed === options.rows) break;
    if (isTerminal(status)) throw new Error(`batch ${status}: ${JSON.stringify(manifest)}\n${stack.log().slice(-4000)}`);
    await sleep(LOOK_MS);
  }
  const [cpu3, run3, endMs] = [cpu.now(), await runSeconds(stack, WORKER), performance.now()];
  const output = await sha256Of(stack, (await client.batches.retrieve(id)).output_file_id ?? '');
  const cpu4 = cpu.now();
  const usBetween = (from: CpuTimes, to: CpuTimes, id: string): number => (((to[id] ?? 0) - (from[id] ?? 0)) * 1000) / options.rows;
  const steps = [
    ['upload', cpu0, cpu1],
    ['validate', cpu1, cpu2],
    ['run', cpu2, cpu3],
    ['download', cpu3, cpu4],
    ['all', cpu0, cpu4],
  ] as const;
  return {
    inputBytes,
    output,
    seconds: { upload: (uploadedMs - startMs) / 1000, validate: (validatedMs - uploadedMs) / 1000, run: (endMs - validatedMs) / 1000 },
    cpuUs: Object.fromEntries(
      steps.map(([step, from, to]) => [
        step,
        Object.fromEntries(Object.keys(cpu4).map((process) => [process, usBetween(from, to, process)])),
      ]),
    ),
    modelUs: ((run3 - run0) * 1e6) / options.rows,
    residentMiB: resident,
  };
}

type Result = Awaited<ReturnType<typeof runBatch>> & { bareRowUs: number[] };

/** Some eight words. */
function textOf(random: SeededRandom, row: number): string {
  const words = Array.from({ length: random.integer(4, 12) }, () => WORDS[random.integer(0, WORDS.length - 1)]);
  return `${words.join(' ')} ${row}.`;
}

/** A share of them again and again. */
async function writeRows(path: string, { rows, encoding, duplicates }: Options): Promise<number> {
  const random = new SeededRandom(SEED);
  const file = createWriteStream(path);
  let bytes = 0;
  for (let row = 0; row < rows; row++) {
    const text = textOf(random, row);
    const input = random.integer(0, 999) < duplicates * 1000 ? `again ${row % 100}` : text;
    const body = { model: MODEL, input, encoding_format: encoding };
    const line = `${JSON.stringify({ custom_id: `row-${row}`, method: 'POST', url: '/v1/embeddings', body })}\n`;
    bytes += line.length;
    if (!file.write(line)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
  return bytes;
}

async function sha256Of(stack: Stack, fileId: string): Promise<{ bytes: number; sha256: string }> {
  const response = await fetch(`${stack.url}/v1/files/${fileId}/content`);
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const part of response.body ?? []) {
    hash.update(part);
    bytes += part.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

function report(
  { rows, duplicates, deterministic }: Options,
  { cpuUs, modelUs, seconds, residentMiB: resident, output, inputBytes, bareRowUs }: Result,
): void {
  console.log(`${rows} rows of ${MODEL}, ${inputBytes} bytes in, ${output.bytes} out; ${JSON.stringify(seconds)}`);
  console.table(
    Object.entries(cpuUs).map(([step, of]) => ({ step, ...Object.fromEntries(Object.entries(of).map(([id, us]) => [id, us.toFixed(1)])) })),
  );
  const all = cpuUs['all'] ?? {};
  const outside = (all['runner'] ?? 0) + (all['api-1'] ?? 0) + (all['api-2'] ?? 0);
  console.log(
    `runner and api ${outside.toFixed(1)} us a row, goal ${GOAL_US}; batch worker ${(all[WORKER] ?? 0).toFixed(1)}, of them runs ${modelUs.toFixed(1)}`,
  );
  const wallUs = ((seconds.upload + seconds.validate + seconds.run) * 1e6) / rows;
  const bareUs = bareRowUs.reduce((sum, us) => sum + us, 0) / bareRowUs.length;
  const isComparable = duplicates === 0 && !deterministic;
  if (isComparable)
    console.log(
      `${wallUs.toFixed(1)} us of time a row; bare session runs take ${bareRowUs.map((us) => us.toFixed(1)).join(' before and ')} after: ` +
        `${(wallUs / bareUs).toFixed(3)} times, goal ${WALL_GOAL}`,
    );
  console.log(`resident at most, MiB: ${JSON.stringify(resident)}`);
}

function save(result: object): void {
  if (!existsSync(join('bench', 'results'))) mkdirSync(join('bench', 'results'), { recursive: true });
  writeFileSync(RESULTS, `${JSON.stringify(result, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
