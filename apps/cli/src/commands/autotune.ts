import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { parseDocument } from 'yaml';
import { loadConfig, runPaths, type Config } from '@app/config';
import type { FileManifest } from '@app/models';
import { readPlacement } from '@app/process';
import { readTopology } from '@app/system';
import { isSame, type Settings, type Trial } from '../autotune/search';
import { tune, type TuneResult } from '../autotune/tuner';
import { findModelFiles } from '../find-model-files';
import { table } from '../table';

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000 } as const;

interface AutotuneOptions {
  modelVersion?: string;
  rows?: string;
  budget: number;
  write?: boolean;
}

export function addAutotuneCommand(program: Command): void {
  program
    .command('autotune <model>')
    .description(
      'measures rows a second and the p99 of one row for sizes of runs and numbers of executors on this machine, and of threads of a run ' +
        'where realtime.sloMs cannot be met by one, and says what the best gains against the present settings; use it on an idle machine',
    )
    .option('--model-version <version>', 'default: the newest')
    .option('--rows <file>', 'what is run: an instance of :predict in each line; default: made-up rows')
    .option('--budget <time>', 'how long it may take, such as 90s or 2m', duration, 2 * UNITS_MS.m)
    .option('--write', 'write runRowsMax, runTokensMax and executorThreads to the model.yaml of the model')
    .action(autotune);
}

function duration(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([smh])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) throw new InvalidArgumentError(`expected a time such as 90s or 2m but received ${text}`);
  return Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

async function autotune(name: string, { modelVersion, rows, budget, write = false }: AutotuneOptions): Promise<void> {
  const config = loadConfig();
  const { manifest } = findModelFiles(config, name, modelVersion ?? null);
  const present = presentSettings(config, manifest);
  const onTrial = (trial: Trial): void =>
    void process.stderr.write(`${textOf(trial.settings)}: ${Math.round(trial.rowsPerSecond)} rows/s\n`);
  const result = await tune({ config, manifest, present, rows: rows ?? null, budgetMs: budget, onTrial });
  console.log(report(result));
  if (write) console.log(writeSettings(config, manifest, result));
}

/** Those of the node that runs here, or that would. */
function presentSettings(config: Config, { name, runRowsMax, runTokensMax, executorThreads }: FileManifest): Settings {
  return {
    runRowsMax: runRowsMax ?? config.realtime.runRowsMax,
    runTokensMax: runTokensMax ?? config.realtime.runTokensMax,
    executors: executorsOf(config, name),
    executorThreads: executorThreads.realtime ?? config.realtime.executorThreads,
  };
}

const textOf = ({ executors, executorThreads, runRowsMax, runTokensMax }: Settings): string =>
  `${executors} executors, ${executorThreads} ${executorThreads === 1 ? 'thread' : 'threads'} a run, ` +
  `runRowsMax ${runRowsMax}, runTokensMax ${runTokensMax}`;

/** Of the largest real-time worker that has the model; where no node runs, one for each CPU. */
function executorsOf({ runDir }: Config, name: string): number {
  const workers = readPlacement(runPaths(runDir).placement)?.workers ?? [];
  const own = workers.filter(({ lane, models }) => lane === 'realtime' && models.some((model) => model.name === name));
  return own.length === 0 ? readTopology().effective.length : Math.max(...own.map(({ cpus }) => cpus.length));
}

function report({ trials, present, best, goalMs }: TuneResult): string {
  const rows = trials.map((trial) => [
    String(trial.settings.executors),
    String(trial.settings.executorThreads),
    String(trial.settings.runRowsMax),
    String(trial.settings.runTokensMax),
    trial.rowsPerSecond.toFixed(0),
    trial.p99Ms.toFixed(1),
    trial.p99Ms > goalMs ? 'p99 over the goal' : isSame(trial.settings, present.settings) ? 'present' : '',
  ]);
  const lines = [
    table(['EXECUTORS', 'THREADS', 'runRowsMax', 'runTokensMax', 'ROWS/S', 'P99 MS', ''], rows),
    `p99: of one row, at half of what the present settings can do; goal: at most ${goalMs.toFixed(1)} ms.`,
  ];
  if (isSame(best.settings, present.settings))
    return [...lines, 'the present settings are the best: nothing gains 5 % within the goal, measured twice'].join('\n');
  const gain = 100 * (best.rowsPerSecond / present.rowsPerSecond - 1);
  return [
    ...lines,
    `best: ${textOf(best.settings)}: ${gain.toFixed(0)} % more rows a second, ` +
      `p99 ${best.p99Ms.toFixed(1)} ms (present ${present.p99Ms.toFixed(1)} ms), measured again in turns`,
    ...(best.settings.executors === present.settings.executors
      ? []
      : [`executors are the CPUs of a partition: give it ${best.settings.executors} in partitions of interleave.yaml`]),
  ].join('\n');
}

/** Comments and other keys stay. */
function writeSettings({ modelsDir }: Config, { name }: FileManifest, { best, present }: TuneResult): string {
  const { runRowsMax, runTokensMax, executorThreads } = best.settings;
  if (isSame({ ...best.settings, executors: present.settings.executors }, present.settings))
    return 'nothing is written: model.yaml stays as it is';
  const path = join(modelsDir, name, 'model.yaml');
  const document = parseDocument(existsSync(path) ? readFileSync(path, 'utf8') : '');
  for (const formerName of ['batchRowsMax', 'batchTokensMax']) document.delete(formerName);
  document.set('runRowsMax', runRowsMax);
  document.set('runTokensMax', runTokensMax);
  if (executorThreads !== present.settings.executorThreads) {
    const given: unknown = document.get('executorThreads');
    if (typeof given === 'number') document.set('executorThreads', { batch: given });
    document.setIn(['executorThreads', 'realtime'], executorThreads);
  }
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, document.toString());
  renameSync(temporary, path);
  return `written to ${path}`;
}
