import { symlinkSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '@app/config';
import { isModel, scanRepository } from '@app/models';
import { CliError } from '../cli-error';
import { checkModel, linksResolved, type ModelCheck } from '../models-check/check-model';
import { samplesPath } from '../models-check/samples';
import { inScratchFolder } from '../scratch-folder';
import { table } from '../table';

/** As of a batch with failed rows: the command ran, and not all is well. */
const EXIT_CODE_FAILED = 2;

export function addModelsCheckCommand(models: Command): void {
  models
    .command('check <dir>')
    .description(
      'loads each model version of a repository, or of the folder of one model, and compares its answers with samples.jsonl; exit code 0: all is well, 2: a version cannot be served or answers otherwise, 1: the check itself failed',
    )
    .option('--json', 'the report as JSON')
    .option('--record', 'write samples.jsonl with the answers of today')
    .action(check);
}

async function check(dir: string, { json = false, record = false }: { json?: boolean; record?: boolean }): Promise<void> {
  const checks = await checkFolder(resolve(dir), record);
  if (checks.length === 0) throw new CliError(`${dir} holds no model; expected a folder as MODELS_DIR, or that of one model`);
  console.log(json ? JSON.stringify({ ok: checks.every(({ ok }) => ok), models: checks }, null, 2) : report(checks));
  if (!checks.every(({ ok }) => ok)) process.exitCode = EXIT_CODE_FAILED;
}

/** The folder of one model becomes a repository of one. */
async function checkFolder(dir: string, records: boolean): Promise<ModelCheck[]> {
  if (!isModelFolder(dir)) return checkAll(dir, records);
  return inScratchFolder('models', async (folder) => {
    symlinkSync(dir, join(folder, basename(dir)));
    const checks = await checkAll(folder, records);
    return checks.map((found) => linksResolved(found, folder));
  });
}

function isModelFolder(dir: string): boolean {
  try {
    return isModel(dir);
  } catch (error) {
    throw new CliError(`${dir} cannot be read: ${(error as Error).message}`);
  }
}

/** One after the other: each is loaded as if it were alone. Graphs have nothing to load, and run on a node only. */
async function checkAll(modelsDir: string, records: boolean): Promise<ModelCheck[]> {
  const config = loadConfig();
  const checks: ModelCheck[] = [];
  const entries = scanRepository(modelsDir).filter(({ manifest }) => !manifest?.graph);
  for (const entry of entries) {
    const folder = join(modelsDir, entry.name);
    const hasOwnSamples = samplesPath(join(folder, entry.version), join(folder, entry.version)) !== null;
    const newest = entries.filter(({ name, manifest }) => name === entry.name && manifest !== null).at(-1);
    // The file beside the versions gets the answers of the newest.
    checks.push(await checkModel(entry, { config, modelsDir, records: records && (hasOwnSamples || entry === newest) }));
  }
  return checks;
}

function report(checks: readonly ModelCheck[]): string {
  const rows = checks.map(({ model, version, ok, task, rows: merging, loadMs, tokenizer, samples, compared, answered }) => [
    model,
    version,
    ok ? 'ok' : 'FAILED',
    task ?? '',
    loadMs === null ? '' : `${loadMs} ms`,
    tokenizer ?? '',
    samples === null ? `${answered} made-up rows answered` : compared > 0 ? `${compared} compared` : `${answered} recorded`,
    merging ?? '',
  ]);
  const notes = checks.flatMap(({ model, version, reason, inputs, outputs, differences, warnings }) => [
    `${model} ${version}: ${inputs.join(', ')} -> ${outputs.join(', ')}`,
    ...(reason === null ? [] : [`  FAILED: ${reason}`]),
    ...differences.map((difference) => `  ${difference}`),
    ...warnings.map((warning) => `  warning: ${warning}`),
  ]);
  return [table(['MODEL', 'VERSION', 'VERDICT', 'TASK', 'LOADED IN', 'TOKENIZER', 'SAMPLES', 'ROWS'], rows), '', ...notes].join('\n');
}
