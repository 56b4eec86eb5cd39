import { join, resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { loadConfig } from '@app/config';
import { findModelFiles } from '../find-model-files';
import { STAGES_MAX } from '../parallel/cost-model';
import { pipelineName } from '../split/model-folders';
import { splitReport } from '../split/report';
import { splitModel } from '../split/split-model';

interface SplitOptions {
  stages: number;
  modelVersion?: string;
  out?: string;
  dryRun: boolean;
}

export function addSplitCommand(program: Command): void {
  program
    .command('split <model>')
    .description(
      'cuts a model into stages that run one after the other, each a model of its own for another partition, CPU set or node: where the fewest bytes go from stage to stage, among the cuts that balance their measured times. Writes <model>-stage-1, -2, … and <model>-pipeline, which callers use like the whole model. The stages must give the bits that the whole gives, else nothing is written. Use it on an idle machine with memory for the whole model',
    )
    .requiredOption('--stages <count>', `2 to ${STAGES_MAX}`, stageCount)
    .option('--model-version <version>', 'default: the newest')
    .option('--out <folder>', 'default: MODELS_DIR, where a running node then serves them')
    .option('--dry-run', 'says where it would cut and how long stages would take; writes nothing', false)
    .action(split);
}

function stageCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 2 && count <= STAGES_MAX) return count;
  throw new InvalidArgumentError(`expected a whole number from 2 to ${STAGES_MAX} but received ${text}`);
}

async function split(name: string, { stages, modelVersion, out, dryRun }: SplitOptions): Promise<void> {
  const config = loadConfig();
  const { manifest } = findModelFiles(config, name, modelVersion ?? null);
  const target = out === undefined ? config.modelsDir : resolve(out);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const result = await splitModel({ config, manifest, stages, out: target, isDryRun: dryRun, say });
  console.log(splitReport(result));
  if (!dryRun) console.log(`\nthe stages answer as the whole model does, bit by bit; callers use ${join(target, pipelineName(name))}`);
}
