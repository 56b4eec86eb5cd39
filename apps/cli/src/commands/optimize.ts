import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { loadConfig, type Config } from '@app/config';
import type { FileManifest } from '@app/models';
import { inspectRuntime } from '@app/native';
import { readCpuModel } from '@app/system';
import { CliError } from '../cli-error';
import { findModelFiles } from '../find-model-files';
import { objection, type ChoiceRule } from '../optimize/choose';
import { optimizeModel, type OptimizeResult } from '../optimize/optimize-model';
import { pythonTools } from '../optimize/python-tools';
import { optimizeReport } from '../optimize/report';
import { nextVersion, publishFolder } from '../optimize/scratch-repository';

const TABLE_FILE = 'variants.json';

interface OptimizeOptions extends ChoiceRule {
  modelVersion?: string;
  rows?: string;
  calibration?: string;
  out?: string;
}

export function addOptimizeCommand(program: Command): void {
  program
    .command('optimize <model>')
    .description(
      'makes graph-optimised, FP16 and INT8 variants of a model version with ONNX Runtime’s own tools, measures them and their answers on this machine, and writes the fastest that answers alike as the next version; use it on an idle machine. The first use installs the tools (Python, 300 MB) under DATA_DIR',
    )
    .option('--model-version <version>', 'default: the newest')
    .option('--rows <file>', 'what answers are compared for: an instance of :predict in each line; default: made-up rows')
    .option('--calibration <file>', 'the same form: what scales of static INT8 are taken from; without it there is no such variant')
    .option('--out <folder>', 'default: the next version in the folder of the model, which a running node then serves')
    .option('--cosine-min <number>', 'least cosine of any answer', numberFrom(-1, 1), 0.999)
    .option('--flips-max <count>', 'answers that may have another label', numberFrom(0, Infinity), 0)
    .option('--difference-max <number>', 'of scores that have neither label nor vector', numberFrom(0, Infinity), 0.01)
    .action(optimize);
}

const numberFrom =
  (min: number, max: number) =>
  (text: string): number => {
    const number = Number(text);
    if (text.trim() !== '' && number >= min && number <= max) return number;
    throw new InvalidArgumentError(
      `expected a number ${max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`} but received ${text}`,
    );
  };

async function optimize(name: string, options: OptimizeOptions): Promise<void> {
  const config = loadConfig();
  const { manifest } = findModelFiles(config, name, options.modelVersion ?? null);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const target = options.out === undefined ? null : resolve(options.out);
  if (target !== null && existsSync(target)) throw new CliError(`${target} is there already; name another folder`);
  const python = await pythonTools(config.dataDir, say);
  const { rows = null, calibration = null } = options;
  await optimizeModel({ config, manifest, python, rows, calibration, rule: options, say }, (result) => {
    console.log(`${optimizeReport(result, options)}\n`);
    finish(config, manifest, { ...options, target }, result);
  });
}

/** Writes the choice with its reason. */
function finish(config: Config, manifest: FileManifest, options: ChoiceRule & { target: string | null }, result: OptimizeResult): void {
  const { choice, folder } = result;
  const record = `${JSON.stringify(recordOf(config, manifest, options, result), null, 2)}\n`;
  if (folder === null) {
    console.log(`choice: the original, version ${manifest.version}: ${choice.reason}`);
    if (options.target === null) return;
    mkdirSync(options.target, { recursive: true });
    writeFileSync(join(options.target, TABLE_FILE), record);
    return;
  }
  writeFileSync(join(folder, TABLE_FILE), record);
  const modelFolder = join(config.modelsDir, manifest.name);
  const version = nextVersion(modelFolder);
  const target = options.target ?? join(modelFolder, version);
  // A name that begins with a dot is no model.
  const aside =
    options.target === null ? join(config.modelsDir, `.optimize-${process.pid}`) : join(dirname(target), `.optimize-${process.pid}`);
  publishFolder(folder, target, aside);
  console.log(`choice: ${choice.kind}: ${choice.reason}`);
  console.log(options.target === null ? `written as version ${version}: ${target}` : `written to ${target}`);
}

function recordOf(
  config: Config,
  manifest: FileManifest,
  { cosineMin, flipsMax, differenceMax }: ChoiceRule,
  result: OptimizeResult,
): object {
  const rule = { cosineMin, flipsMax, differenceMax };
  return {
    formatVersion: 1,
    model: manifest.name,
    madeFrom: manifest.version,
    madeAt: new Date().toISOString(),
    cpu: readCpuModel(),
    onnxRuntime: inspectRuntime(config.ortLibraryPath).version,
    rows: result.rows,
    rule,
    choice: result.choice,
    cells: result.cells,
    variants: result.candidates.map((candidate) => ({
      ...candidate,
      objection: candidate.kind === 'original' ? null : objection(candidate, rule),
    })),
  };
}
