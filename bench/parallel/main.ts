import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '@app/config';
import { readTopology } from '@app/system';
import { layoutsOf, predict, type Layout, type ParallelFacts } from '../../apps/cli/src/parallel/cost-model';
import { findModelFiles } from '../../apps/cli/src/find-model-files';
import { measureAllBusy, measureParallel, type MeasureRequest } from '../../apps/cli/src/parallel/measure';
import { table } from '../../apps/cli/src/table';
import { buildModels } from '../../tools/model-builder/src/models';
import { measureNode, type Measured } from './layout-node';

/**
 * Stages × replicas × width of one model: what `interleave plan --parallel` predicts against what a real node does. For each
 * number of stages the model is split anew. `--model encoder-large` is 3 GiB: minutes, and 7 GiB of disk.
 */
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'encoder-small' },
    length: { type: 'string', default: '256' },
    stages: { type: 'string', default: '2,4' },
    folder: { type: 'string', default: join('bench', 'results', 'tmp', 'parallel') },
  },
});
const MODEL = values.model;
const LENGTH = Number(values.length);
const MIB = 2 ** 20;
const DRIFT_MAX = 0.1;
const TRIES_MAX = 4;

interface Row {
  layout: Layout;
  /** The run while every CPU has one, before and after the layout was measured, divided by the one around what the prediction rests on. */
  slowdown: number;
  /** By how much the run before and the one after differ: what is left of the machine's drift. */
  driftShare: number;
  predicted: { latencyMs: number; rowsPerSecond: number; bubbleShare: number };
  measured: Measured;
  /** Of the rows a second: predicted ÷ measured − 1, at the speed that the machine had for each, and as predicted. */
  errorShare: number;
  errorShareAsPlanned: number;
  /** The largest worker's memory ÷ its share of the weights. */
  memoryRatio: number;
}

async function main(): Promise<void> {
  const modelsDir = resolve(values.folder, 'models');
  buildModels(modelsDir, [MODEL]);
  const config = { ...loadConfig(), modelsDir, dataDir: resolve(values.folder, 'data') };
  const cpus = readTopology().effective;
  const rows: Row[] = [];
  for (const [i, stages] of values.stages.split(',').map(Number).entries()) {
    split(modelsDir, stages);
    const { manifest } = findModelFiles(config, MODEL, null);
    const onStep = (text: string): void => console.error(`${MODEL}: ${text}`);
    const request = { config, manifest, cpus, shape: { rows: 1, length: LENGTH }, onStep };
    const planned = await steadily(request, () => measureParallel(request));
    const layouts = layoutsOf(planned.result).filter((layout) => layout.stages === stages || (i === 0 && layout.stages === 1));
    for (const layout of layouts) {
      rows.push(await measureRow(request, planned, layout));
      print(rows);
      write({ model: MODEL, length: LENGTH, cpus: cpus.length, rows });
    }
  }
}

function write(results: object): void {
  mkdirSync(join('bench', 'results'), { recursive: true });
  writeFileSync(join('bench', 'results', `parallel-${MODEL}.json`), `${JSON.stringify(results, null, 2)}\n`);
}

/** The stages and the pipeline of an earlier split go first. */
function split(modelsDir: string, stages: number): void {
  for (const made of ['pipeline', ...Array.from({ length: 64 }, (_, i) => `stage-${i + 1}`)])
    rmSync(join(modelsDir, `${MODEL}-${made}`), { recursive: true, force: true });
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [join('bin', 'interleave.js'), 'split', MODEL, '--stages', String(stages)],
    { env: { ...process.env, MODELS_DIR: modelsDir, DATA_DIR: join(values.folder, 'data') }, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`interleave split: ${stderr}`);
  console.error(stdout);
}

interface Steady<T> {
  result: T;
  /** The run while every CPU has one, before and after it. */
  busyMs: number;
  /** By how much these two differ. */
  driftShare: number;
}

/** Measures again while the speed of the machine changes meanwhile; the steadiest counts. */
async function steadily<T>(request: MeasureRequest, measure: () => Promise<T>): Promise<Steady<T>> {
  let best: Steady<T> | null = null;
  for (let tries = 0; tries < TRIES_MAX && (best === null || best.driftShare > DRIFT_MAX); tries++) {
    const before = await measureAllBusy(request);
    const result = await measure();
    const after = await measureAllBusy(request);
    const driftShare = Math.max(before, after) / Math.min(before, after) - 1;
    if (best === null || driftShare < best.driftShare) best = { result, busyMs: (before + after) / 2, driftShare };
  }
  return best as Steady<T>;
}

async function measureRow(request: MeasureRequest, planned: Steady<ParallelFacts>, layout: Layout): Promise<Row> {
  const { latencyMs, rowsPerSecond, bubbleShare, workerBytes } = predict(layout, planned.result);
  console.error(`runs ${layout.stages} × ${layout.replicas} × ${layout.width}`);
  const { config, cpus } = request;
  const node = { modelsDir: config.modelsDir, model: MODEL, layout, cpus, length: LENGTH, predictedMs: latencyMs };
  const { result: measured, busyMs, driftShare } = await steadily(request, () => measureNode(node));
  const slowdown = busyMs / planned.busyMs;
  const residentBytes = Math.max(...measured.workers.map((worker) => worker.residentBytes));
  return {
    layout,
    slowdown,
    driftShare: Math.max(driftShare, planned.driftShare),
    predicted: { latencyMs, rowsPerSecond, bubbleShare },
    measured,
    errorShare: rowsPerSecond / slowdown / measured.rowsPerSecond - 1,
    errorShareAsPlanned: rowsPerSecond / measured.rowsPerSecond - 1,
    memoryRatio: residentBytes / workerBytes,
  };
}

function print(rows: Row[]): void {
  const dataParallel = (width: number): number =>
    Math.max(...rows.filter(({ layout }) => layout.stages === 1 && layout.width === width).map(({ measured }) => measured.rowsPerSecond));
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  console.log(
    table(
      [
        'STAGES',
        'REPLICAS',
        'WIDTH',
        'MS',
        'PREDICTED',
        'ROWS/S',
        'PREDICTED',
        'ERROR',
        'SLOWDOWN',
        'RUN MS',
        'API MS',
        'CALLERS MS',
        'BUBBLE',
        'PREDICTED',
        'OF DATA PARALLEL',
        'WORKER MIB',
      ],
      rows.map(({ layout, slowdown, driftShare, predicted, measured, errorShare, errorShareAsPlanned, memoryRatio }) => [
        String(layout.stages),
        String(layout.replicas),
        String(layout.width),
        measured.latencyMs.toFixed(1),
        predicted.latencyMs.toFixed(1),
        measured.rowsPerSecond.toFixed(2),
        predicted.rowsPerSecond.toFixed(2),
        `${percent(errorShare)} (${percent(errorShareAsPlanned)})`,
        `${slowdown.toFixed(2)} (± ${percent(driftShare / 2)})`,
        measured.runMs.toFixed(1),
        measured.apiMs.toFixed(2),
        measured.callersMs.toFixed(2),
        percent(measured.bubbleShare),
        percent(predicted.bubbleShare),
        layout.stages === 1 ? '' : (measured.rowsPerSecond / dataParallel(layout.width)).toFixed(2),
        `${measured.workers.map(({ residentBytes }) => (residentBytes / MIB).toFixed(0)).join(' + ')} ` +
          `(${memoryRatio.toFixed(2)} of the weights)`,
      ]),
    ),
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
