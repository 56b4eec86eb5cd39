import { InvalidArgumentError, type Command } from 'commander';
import { loadConfig, type Config } from '@app/config';
import type { FileManifest } from '@app/models';
import { requireWritable, writeSettings } from '../autotune/model-settings';
import { autotuneReport, settingsText } from '../autotune/report';
import type { Settings } from '../autotune/search';
import { tune } from '../autotune/tuner';
import { placeOf, type ModelPlace } from '../parallel/place';
import { findModelFiles } from '../find-model-files';

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000 } as const;
const BUDGET_MS_DEFAULT = 2 * UNITS_MS.m;

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
  if (write) requireWritable(config, manifest);
  const place = await placeOf(config, manifest);
  const present = presentSettings(config, manifest, place);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const result = await tune({
    ...{ config, manifest, present, place, rows: rows ?? null, budgetMs: budget },
    onStep: (text) => say(`${name}: ${text}`),
    onTrial: (trial) => say(`${settingsText(trial.settings)}: ${Math.round(trial.rowsPerSecond)} rows/s`),
  });
  console.log(autotuneReport({ ...result, model: name, version: modelVersion ?? null, place, sloMs: manifest.sloMs }));
  if (write) console.log(await writeSettings(config, { ...result, manifest, lane: place.lane }));
}

/** Those of the files. */
function presentSettings(config: Config, { runRowsMax, runTokensMax }: FileManifest, { lane, ownCpus, threads }: ModelPlace): Settings {
  return {
    runRowsMax: runRowsMax ?? config[lane].runRowsMax,
    runTokensMax: runTokensMax ?? config[lane].runTokensMax,
    layout: { stages: 1, replicas: Math.max(1, Math.floor(ownCpus.length / threads)), width: threads },
  };
}
