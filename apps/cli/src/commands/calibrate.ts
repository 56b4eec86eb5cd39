import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import { InvalidArgumentError, type Command } from 'commander';
import { loadConfig, type Config } from '@app/config';
import { EXECUTOR_THREADS_MAX, type CostGrid, type ModelSignature, type WorkerModelPlan } from '@app/contracts';
import { calibrate, costKeyId, CostStore, planCells, workerModelPlan } from '@app/models';
import { startWorker, type WorkerHandle } from '@app/native';
import { readTopology } from '@app/system';
import { CliError } from '../cli-error';
import { cpuCostKey } from '../cost-key';
import { findModelFiles } from '../find-model-files';
import { heatMap } from '../heat-map';

const READY_POLL_MS = 50;
/** Nothing is too long to be measured, and it takes as long as it takes. */
const UNLIMITED = { budgetMs: Infinity, limits: { singleRowMsMax: Infinity, severalRowsMsMax: Infinity } };

export function addCalibrateCommand(program: Command): void {
  program
    .command('calibrate <model>')
    .description(
      'measures in full what runs of a model cost and stores the table, which running workers take over; use it on an idle machine',
    )
    .option('--model-version <version>', 'default: the newest')
    .option('--threads <count>', 'threads of one run; default: executorThreads of the batch lane', threadCount)
    .action(async (model: string, { modelVersion, threads }: { modelVersion?: string; threads?: number }) => {
      const config = loadConfig();
      const plan = findPlan(config, model, modelVersion ?? null);
      const grid = await calibrateModel(config, { ...plan, executorThreads: threads ?? plan.executorThreads });
      console.log(heatMap(grid, process.stdout.isTTY));
    });
}

function threadCount(text: string): number {
  const cpus = readTopology().effective.length;
  const count = Number(text);
  if (/^\d{1,2}$/.test(text) && count >= 1 && count <= Math.min(cpus, EXECUTOR_THREADS_MAX)) return count;
  throw new InvalidArgumentError(`expected a number of threads from 1 to ${Math.min(cpus, EXECUTOR_THREADS_MAX)} but received ${text}`);
}

function findPlan(config: Config, model: string, version: string | null): WorkerModelPlan {
  const { manifest, fingerprint } = findModelFiles(config, model, version);
  return workerModelPlan(manifest, 'batch', config.batch, { revision: 1, fingerprint });
}

/** In a worker of this process's own. */
async function calibrateModel(config: Config, plan: WorkerModelPlan): Promise<CostGrid> {
  const folder = mkdtempSync(join(tmpdir(), 'interleave-calibrate-'));
  const worker = startWorker({
    plan: {
      id: 'calibrate',
      partitionId: 'calibrate',
      lane: 'batch',
      cpus: readTopology().effective.slice(-plan.executorThreads),
      socketPath: join(folder, 'worker.sock'),
      models: [plan],
      queueItemsMax: 1,
      channelBytes: 4 << 20,
      awakeMs: 0,
      gpu: null,
      gpuRefusal: null,
    },
    ortLibraryPath: config.ortLibraryPath,
  });
  try {
    const signature = await signatureOf(worker);
    return await measure(worker, signature, plan, config);
  } finally {
    await worker.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function signatureOf(worker: WorkerHandle): Promise<ModelSignature> {
  for (;;) {
    const report = worker.models()[0];
    if (report?.state === 'failed') throw new CliError(`the model cannot be loaded: ${report.reason ?? 'unknown reason'}`);
    if (report?.signature) return report.signature;
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

async function measure(worker: WorkerHandle, signature: ModelSignature, plan: WorkerModelPlan, config: Config): Promise<CostGrid> {
  const store = new CostStore(config.dataDir);
  const key = await cpuCostKey(plan.modelPath, plan.executorThreads, config);
  const id = costKeyId(key);
  const lock = await store.lock(id);
  if (lock === null) throw new CliError(`a worker measures ${plan.name} at this moment; try again in a minute`);
  store.removeMarker(id);
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  const cells = planCells(signature, plan.rowTokensMax).flat();
  const bar = new SingleBar(
    { format: '{bar} {value}/{total} cells, {cell}', clearOnComplete: true, noTTYOutput: false },
    Presets.shades_grey,
  );
  bar.start(cells.length, 0, { cell: '' });
  let grid: CostGrid | null = null;
  const outcome = await calibrate({
    store,
    id,
    key,
    known: null,
    model: plan.name,
    phases: [cells],
    signal: interrupted.signal,
    ...UNLIMITED,
    measure: ({ rows, length }) => worker.measure({ revision: plan.revision, rows, length, trims: false }),
    onCell: ({ rows, length }) => bar.increment(1, { cell: `${rows} × ${length}` }),
    onTable: (table) => (grid = table),
  }).finally(() => {
    bar.stop();
    lock.close();
  });
  if (outcome.state === 'skipped') throw new CliError(`${plan.name} cannot be measured: ${outcome.reason}`);
  if (outcome.state === 'aborted' || grid === null) throw new CliError('interrupted; results stored so far are kept');
  return grid;
}
