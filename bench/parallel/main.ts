import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '@app/config';
import { readTopology } from '@app/system';
import { layoutsOf, predict, type Layout, type ParallelFacts } from '../../apps/cli/src/parallel/cost-model';
import { findModelFiles } from '../../apps/cli/src/find-model-files';
import { measureParallel, type MeasureRequest } from '../../apps/cli/src/parallel/measure';
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
const TRIES_MAX = 3;

interface Row {
  layout: Layout;
  /** From what was measured right before and right after the node; of these two the mean. */
  predicted: { latencyMs: number; rowsPerSecond: number; bubbleShare: number };
  measured: Measured;
  /** Of the rows a second: predicted ÷ measured − 1. */
  errorShare: number;
  /** The same for what was predicted when the first layout began: the machine's speed drifts meanwhile. */
  errorShareAtFirst: number;
  /** By how much the prediction before and that after differ. */
  driftShare: number;
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
    const first = await measureParallel(request);
    const layouts = layoutsOf(first).filter((layout) => layout.stages === stages || (i === 0 && layout.stages === 1));
    let before = first;
    for (const layout of layouts) {
      const { row, after } = await measureRow(request, { first, before, layout });
      before = after;
      rows.push(row);
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

/** Again while the prediction before the node's measurement and that after differ; the steadiest counts. */
async function measureRow(
  request: MeasureRequest,
  { first, before, layout }: { first: ParallelFacts; before: ParallelFacts; layout: Layout },
): Promise<{ row: Row; after: ParallelFacts }> {
  const { config, cpus } = request;
  const atFirst = predict(layout, first);
  const node = { modelsDir: config.modelsDir, model: MODEL, layout, cpus, length: LENGTH, predictedMs: atFirst.latencyMs };
  let row: Row | null = null;
  let now = before;
  for (let tries = 0; tries < TRIES_MAX && (row === null || row.driftShare > DRIFT_MAX); tries++) {
    console.error(`runs ${layout.stages} × ${layout.replicas} × ${layout.width}`);
    const measured = await measureNode(node);
    const after = await measureParallel(request);
    const [one, other] = [predict(layout, now), predict(layout, after)];
    now = after;
    const mean = (key: 'latencyMs' | 'rowsPerSecond' | 'bubbleShare'): number => (one[key] + other[key]) / 2;
    const driftShare = Math.max(one.rowsPerSecond, other.rowsPerSecond) / Math.min(one.rowsPerSecond, other.rowsPerSecond) - 1;
    if (row !== null && driftShare >= row.driftShare) continue;
    row = {
      layout,
      predicted: { latencyMs: mean('latencyMs'), rowsPerSecond: mean('rowsPerSecond'), bubbleShare: mean('bubbleShare') },
      measured,
      errorShare: mean('rowsPerSecond') / measured.rowsPerSecond - 1,
      errorShareAtFirst: atFirst.rowsPerSecond / measured.rowsPerSecond - 1,
      driftShare,
      memoryRatio: Math.max(...measured.workers.map((worker) => worker.residentBytes)) / atFirst.workerBytes,
    };
  }
  return { row: row as Row, after: now };
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
        'DRIFT',
        'RUN MS',
        'API MS',
        'CALLERS MS',
        'BUBBLE',
        'PREDICTED',
        'OF DATA PARALLEL',
        'WORKER MIB',
      ],
      rows.map(({ layout, driftShare, predicted, measured, errorShare, errorShareAtFirst, memoryRatio }) => [
        String(layout.stages),
        String(layout.replicas),
        String(layout.width),
        measured.latencyMs.toFixed(1),
        predicted.latencyMs.toFixed(1),
        measured.rowsPerSecond.toFixed(2),
        predicted.rowsPerSecond.toFixed(2),
        `${percent(errorShare)} (${percent(errorShareAtFirst)})`,
        percent(driftShare),
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
