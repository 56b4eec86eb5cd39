import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '@app/config';
import { readTopology } from '@app/system';
import { layoutsOf, predict, type Layout, type ParallelFacts } from '../../apps/cli/src/parallel/cost-model';
import { findModelFiles } from '../../apps/cli/src/find-model-files';
import { measureParallel } from '../../apps/cli/src/parallel/measure';
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

interface Row {
  layout: Layout;
  predicted: { latencyMs: number; rowsPerSecond: number; bubbleShare: number };
  measured: Measured;
  /** Of the rows a second: predicted ÷ measured − 1. */
  errorShare: number;
  /** The largest worker's memory ÷ its share of the weights. */
  memoryRatio: number;
}

async function main(): Promise<void> {
  const modelsDir = join(values.folder, 'models');
  buildModels(modelsDir, [MODEL]);
  const config = { ...loadConfig(), modelsDir, dataDir: join(values.folder, 'data') };
  const cpus = readTopology().effective;
  const rows: Row[] = [];
  for (const [i, stages] of values.stages.split(',').map(Number).entries()) {
    split(modelsDir, stages);
    const { manifest } = findModelFiles(config, MODEL, null);
    const onStep = (text: string): void => console.error(`${MODEL}: ${text}`);
    const facts = await measureParallel({ config, manifest, cpus, shape: { rows: 1, length: LENGTH }, onStep });
    const layouts = layoutsOf(facts).filter((layout) => layout.stages === stages || (i === 0 && layout.stages === 1));
    for (const layout of layouts) rows.push(await measureRow(modelsDir, facts, layout, cpus));
  }
  print(rows);
  mkdirSync(join('bench', 'results'), { recursive: true });
  writeFileSync(
    join('bench', 'results', `parallel-${MODEL}.json`),
    `${JSON.stringify({ model: MODEL, length: LENGTH, cpus: cpus.length, rows }, null, 2)}\n`,
  );
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

async function measureRow(modelsDir: string, facts: ParallelFacts, layout: Layout, cpus: readonly number[]): Promise<Row> {
  const { latencyMs, rowsPerSecond, bubbleShare, workerBytes } = predict(layout, facts);
  console.error(`runs ${layout.stages} × ${layout.replicas} × ${layout.width}`);
  const measured = await measureNode({ modelsDir, model: MODEL, layout, cpus, length: LENGTH, predictedMs: latencyMs });
  const residentBytes = Math.max(...measured.workers.map((worker) => worker.residentBytes));
  return {
    layout,
    predicted: { latencyMs, rowsPerSecond, bubbleShare },
    measured,
    errorShare: rowsPerSecond / measured.rowsPerSecond - 1,
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
        'BUBBLE',
        'PREDICTED',
        'OF DATA PARALLEL',
        'WORKER MIB',
      ],
      rows.map(({ layout, predicted, measured, errorShare, memoryRatio }) => [
        String(layout.stages),
        String(layout.replicas),
        String(layout.width),
        measured.latencyMs.toFixed(1),
        predicted.latencyMs.toFixed(1),
        measured.rowsPerSecond.toFixed(2),
        predicted.rowsPerSecond.toFixed(2),
        percent(errorShare),
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
