import { InvalidArgumentError, type Command } from 'commander';
import { loadConfigWith, type Config } from '@app/config';
import { readTopology } from '@app/system';
import { findModelFiles } from '../find-model-files';
import { planner } from '../planned-workers';
import { measureParallel } from '../parallel/measure';
import { placeOf } from '../parallel/place';
import { parallelReport } from '../parallel/report';

const ROWS_MAX = 1024;
const LENGTH_MAX = 32_768;

interface PlanOptions {
  config?: string;
  parallel?: string;
  rows: number;
  length: number;
}

export function addPlanCommand(program: Command): void {
  program
    .command('plan')
    .description(
      'prints which CPUs each partition, lane and model would get on this machine, and starts nothing; fails with the reason for a configuration that cannot hold',
    )
    .option('--config <file>', 'instead of CONFIG or ./interleave.yaml')
    .option(
      '--parallel <model>',
      'instead: measures a model on this machine and prints what stages, replicas and widths of it would do; use it on an idle machine',
    )
    .option('--rows <count>', 'rows of a run, with --parallel', countUpTo(ROWS_MAX), 1)
    .option('--length <tokens>', 'tokens of each row, with --parallel', countUpTo(LENGTH_MAX), 64)
    .action(async ({ config: path, parallel, rows, length }: PlanOptions) => {
      const config = loadConfigWith({ CONFIG: path });
      if (parallel !== undefined) return printParallel(config, parallel, { rows, length });
      (await planner()).printPlan(config);
    });
}

async function printParallel(config: Config, model: string, shape: { rows: number; length: number }): Promise<void> {
  const { manifest } = findModelFiles(config, model, null);
  const { effective, memoryBytes } = readTopology();
  const place = await placeOf(config, manifest);
  const { lane } = place;
  const onStep = (text: string): void => console.error(`${model}: ${text}`);
  const facts = await measureParallel({ config, manifest, cpus: effective, lane, shape, onStep });
  console.log(parallelReport({ model, facts, length: shape.length, goalMs: manifest.sloMs, memoryBytes, place }));
}

const countUpTo =
  (max: number) =>
  (text: string): number => {
    const count = Number(text);
    if (/^\d+$/.test(text) && count >= 1 && count <= max) return count;
    throw new InvalidArgumentError(`expected a whole number from 1 to ${max} but received ${text}`);
  };
