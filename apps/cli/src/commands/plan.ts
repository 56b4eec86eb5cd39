import { join } from 'node:path';
import type { Command } from 'commander';
import { loadConfigWith, type Config } from '@app/config';

/** The scheduler's planner; found by its path, because no application imports another. */
const PLAN_MAIN = join(__dirname, '..', '..', '..', 'scheduler', 'src', 'placement', 'main.js');

export function addPlanCommand(program: Command): void {
  program
    .command('plan')
    .description(
      'prints which CPUs each partition, lane and model would get on this machine, and starts nothing; fails with the reason for a configuration that cannot hold',
    )
    .option('--config <file>', 'instead of CONFIG or ./interleave.yaml')
    .action(async ({ config }: { config?: string }) => {
      const { printPlan } = (await import(PLAN_MAIN)) as { printPlan(config: Config): void };
      printPlan(loadConfigWith({ CONFIG: config }));
    });
}
