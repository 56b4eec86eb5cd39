import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { loadConfig, type Config } from '@app/config';
import type { CostGrid, ModelSignature, WorkerModelPlan } from '@app/contracts';
import { calibrate, costKeyId, CostStore, planCells, scanRepository, sha256OfFile, workerModelPlan, type CostKey } from '@app/models';
import { inspectRuntime, startWorker, type WorkerHandle } from '@app/native';
import { readCpuModel, readTopology } from '@app/system';
import { CliError } from '../cli-error';
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
    .action(async (model: string, { modelVersion }: { modelVersion?: string }) => {
      const config = loadConfig();
      const grid = await calibrateModel(config, findPlan(config, model, modelVersion ?? null));
      console.log(heatMap(grid, process.stdout.isTTY));
    });
}

function findPlan(config: Config, model: string, version: string | null): WorkerModelPlan {
  const entries = scanRepository(config.modelsDir).filter(({ name }) => name === model);
  const entry = version === null ? entries.at(-1) : entries.find((other) => other.version === version);
  if (entry === undefined)
    throw new CliError(`${config.modelsDir} has no model ${model}${version === null ? '' : ` version ${version}`}; set MODELS_DIR`);
  if (entry.manifest === null) throw new CliError(`model ${model} version ${entry.version} cannot be served: ${entry.reason ?? ''}`);
  return workerModelPlan(entry.manifest, config.batch, { revision: 1, fingerprint: entry.fingerprint });
}

/** In a worker of this process's own. */
async function calibrateModel(config: Config, plan: WorkerModelPlan): Promise<CostGrid> {
  const folder = mkdtempSync(join(tmpdir(), 'interleave-calibrate-'));
  const worker = startWorker({
    plan: {
      id: 'calibrate',
      partitionId: 'calibrate',
      lane: 'batch',
      cpus: readTopology().effective.slice(-1),
      socketPath: join(folder, 'worker.sock'),
      models: [plan],
      queueItemsMax: 1,
      channelBytes: 4 << 20,
      awakeMs: 0,
      gpu: null,
      gpuRefusal: 'this command measures on CPUs; what a run costs on a GPU is measured by the workers of its partition',
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
  const key: CostKey = {
    modelSha256: await sha256OfFile(plan.modelPath),
    provider: 'cpu',
    intraOpThreads: 1,
    cpu: readCpuModel(),
    runtimeVersion: inspectRuntime(config.ortLibraryPath).version,
  };
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
