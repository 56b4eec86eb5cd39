import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { parseDocument } from 'yaml';
import { loadConfig, runPaths, type Config } from '@app/config';
import type { FileManifest } from '@app/models';
import { readPlacement } from '@app/process';
import { readTopology } from '@app/system';
import { autotuneReport, settingsText } from '../autotune/report';
import { isSame, type Settings } from '../autotune/search';
import { tune, type TuneResult } from '../autotune/tuner';
import { findModelFiles } from '../find-model-files';
import { modelsOf } from '../parallel/cpu-sets';

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000 } as const;
const BUDGET_MS_DEFAULT = 2 * UNITS_MS.m;

interface ModelFileSettings {
  runRowsMax: number;
  runTokensMax: number;
  width: number | null;
}

interface AutotuneOptions {
  modelVersion?: string;
  rows?: string;
  budget?: number;
  write?: boolean;
}

export function addAutotuneCommand(program: Command): void {
  program
    .command('autotune <model>')
    .description(
      'measures rows a second and the p99 of one row for sizes of runs, and for the stages, replicas and widths that ' +
        'interleave plan --parallel predicts to be the best on this machine, ' +
        'and says what the best gains against the present settings; use it on an idle machine',
    )
    .option('--model-version <version>', 'default: the newest')
    .option('--rows <file>', 'what is run: an instance of :predict in each line; default: made-up rows')
    .option('--budget <time>', 'how long it may take, such as 90s; default: 2m', duration)
    .option('--write', 'write runRowsMax, runTokensMax and executorThreads to the model.yaml of the model, or of its stages')
    .action(autotune);
}

function duration(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([smh])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) throw new InvalidArgumentError(`expected a time such as 90s or 2m but received ${text}`);
  return Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

async function autotune(name: string, { modelVersion, rows, budget = BUDGET_MS_DEFAULT, write = false }: AutotuneOptions): Promise<void> {
  const config = loadConfig();
  const { manifest } = findModelFiles(config, name, modelVersion ?? null);
  const present = presentSettings(config, manifest);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const result = await tune({
    ...{ config, manifest, present, rows: rows ?? null, budgetMs: budget },
    onStep: (text) => say(`${name}: ${text}`),
    onTrial: (trial) => say(`${settingsText(trial.settings)}: ${Math.round(trial.rowsPerSecond)} rows/s`),
  });
  console.log(autotuneReport({ ...result, model: name, sloMs: manifest.sloMs, memoryBytes: readTopology().memoryBytes }));
  if (write) console.log(writeSettings(config, manifest, result));
}

/** Those of the node that runs here, or that would. */
function presentSettings(config: Config, { name, runRowsMax, runTokensMax, executorThreads }: FileManifest): Settings {
  const width = executorThreads.realtime ?? config.realtime.executorThreads;
  return {
    runRowsMax: runRowsMax ?? config.realtime.runRowsMax,
    runTokensMax: runTokensMax ?? config.realtime.runTokensMax,
    layout: { stages: 1, replicas: Math.max(1, Math.floor(executorsOf(config, name) / width)), width },
  };
}

/** Of the largest real-time worker that has the model; where no node runs, one for each CPU. */
function executorsOf({ runDir }: Config, name: string): number {
  const workers = readPlacement(runPaths(runDir).placement)?.workers ?? [];
  const own = workers.filter(({ lane, models }) => lane === 'realtime' && models.some((model) => model.name === name));
  return own.length === 0 ? readTopology().effective.length : Math.max(...own.map(({ cpus }) => cpus.length));
}

/** To the whole model, or to each stage. Comments and other keys stay; how many executors there are is up to the partitions. */
function writeSettings(config: Config, { name }: FileManifest, { best, present }: TuneResult): string {
  const { layout, ...sizes } = best.settings;
  const isKept = layout.stages === 1 && layout.width === present.settings.layout.width;
  if (isKept && isSame({ ...best.settings, layout: present.settings.layout }, present.settings))
    return 'nothing is written: model.yaml stays as it is';
  const paths = modelsOf(name, layout).map((model) => join(config.modelsDir, model, 'model.yaml'));
  for (const path of paths) writeModelFile(path, { ...sizes, width: isKept ? null : layout.width });
  return `written to ${paths.join(', ')}`;
}

/** Width null: as it is. */
function writeModelFile(path: string, { runRowsMax, runTokensMax, width }: ModelFileSettings): void {
  const document = parseDocument(existsSync(path) ? readFileSync(path, 'utf8') : '');
  for (const formerName of ['batchRowsMax', 'batchTokensMax']) document.delete(formerName);
  document.set('runRowsMax', runRowsMax);
  document.set('runTokensMax', runTokensMax);
  if (width !== null) {
    const given: unknown = document.get('executorThreads');
    if (typeof given === 'number') document.set('executorThreads', { batch: given });
    document.setIn(['executorThreads', 'realtime'], width);
  }
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, document.toString());
  renameSync(temporary, path);
}
