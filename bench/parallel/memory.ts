import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspectRuntime, startWorker } from '@app/native';
import { loadConfig } from '@app/config';
import { readTopology } from '@app/system';
import { modelPlan } from '../../test/support/worker-fixture';
import { buildModels } from '../../tools/model-builder/src/models';

/**
 * Resident memory of a worker by its executors and the threads of a run, each in a process of its own: once the model is loaded, and
 * after as many runs at once as there can be. Executors share one session; runs of several threads have one for each team.
 *   memory.js [MODEL...]   default: encoder-small
 */
const MODELS_DEFAULT = ['encoder-small'];
const ARRANGEMENTS: Arrangement[] = [
  { executors: 1, threads: 1 },
  { executors: 2, threads: 1 },
  { executors: 4, threads: 1 },
  { executors: 2, threads: 2 },
  { executors: 4, threads: 2 },
];
const ROUNDS = 5;
const RUN = { rows: 8, length: 128 };
const MIB = 2 ** 20;
const READY_POLL_MS = 20;

interface Arrangement {
  executors: number;
  threads: number;
}

interface Measured extends Arrangement {
  model: string;
  fileMiB: number;
  loadedMiB: number;
  afterRunsMiB: number;
}

function main(): void {
  const [mode, ...names] = process.argv.slice(2);
  if (mode === '--one') return void measure(JSON.parse(names[0] ?? '{}') as Arrangement & { model: string; modelsDir: string });
  const folder = mkdtempSync(join(tmpdir(), 'bench-memory-'));
  try {
    const models = mode === undefined ? MODELS_DEFAULT : [mode, ...names];
    buildModels(folder, models);
    const results = models.flatMap((model) =>
      ARRANGEMENTS.map((arrangement) => inItsOwnProcess({ ...arrangement, model, modelsDir: folder })),
    );
    console.table(results.map(withGrowth));
    const outDir = join(process.cwd(), 'bench', 'results');
    mkdirSync(outDir, { recursive: true });
    const runtime = inspectRuntime(loadConfig().ortLibraryPath).version;
    writeFileSync(join(outDir, 'parallel-memory.json'), `${JSON.stringify({ runtime, run: RUN, results }, null, 2)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function inItsOwnProcess(what: Arrangement & { model: string; modelsDir: string }): Measured {
  const { stdout, stderr, status } = spawnSync(process.execPath, [__filename, '--one', JSON.stringify(what)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Measured;
}

/** What each executor beyond the first of the same threads added. */
function withGrowth(row: Measured, _index: number, rows: readonly Measured[]): Measured & { perAddedExecutorMiB: number | null } {
  const first = rows.find(({ model, threads }) => model === row.model && threads === row.threads);
  const added = row.executors - (first?.executors ?? row.executors);
  return { ...row, perAddedExecutorMiB: added === 0 ? null : rounded((row.afterRunsMiB - (first?.afterRunsMiB ?? 0)) / added) };
}

async function measure({ executors, threads, model, modelsDir }: Arrangement & { model: string; modelsDir: string }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-memory-worker-'));
  const plan = modelPlan(modelsDir, model, { executorThreads: threads, runTokensMax: 4096 });
  const usable = readTopology().effective;
  const baseMiB = residentMiB();
  const worker = startWorker({
    plan: {
      id: 'memory',
      partitionId: 'memory',
      lane: 'realtime',
      cpus: Array.from({ length: executors }, (_, executor) => usable[executor % usable.length] ?? 0),
      socketPath: join(folder, 'worker.sock'),
      models: [plan],
      queueItemsMax: 1,
      channelBytes: 4 << 20,
      awakeMs: 0,
      gpu: null,
      gpuRefusal: null,
    },
    ortLibraryPath: loadConfig().ortLibraryPath,
  });
  for (let report = worker.models()[0]; report?.state !== 'ready'; report = worker.models()[0]) {
    if (report?.state === 'failed') throw new Error(report.reason ?? 'failed');
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
  const loadedMiB = residentMiB() - baseMiB;
  for (let round = 0; round < ROUNDS; round++) {
    const runs = Math.floor(executors / threads);
    await Promise.all(Array.from({ length: runs }, () => worker.measure({ revision: plan.revision, ...RUN, trims: false })));
  }
  const measured: Measured = {
    model,
    executors,
    threads,
    fileMiB: rounded(statSync(plan.modelPath).size / MIB),
    loadedMiB: rounded(loadedMiB),
    afterRunsMiB: rounded(residentMiB() - baseMiB),
  };
  process.stdout.write(JSON.stringify(measured));
  await worker.close();
  rmSync(folder, { recursive: true, force: true });
}

const residentMiB = (): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
const rounded = (value: number): number => Number(value.toFixed(1));

main();
