import { join } from 'node:path';
import type { Config } from '@app/config';
import type { ThreadsChange, WorkerPlan } from '@app/contracts';
import { CliError } from './cli-error';

/** The scheduler's planner; found by its path, because no application imports another. */
const PLANNER = join(__dirname, '..', '..', 'scheduler', 'src', 'placement', 'main');

interface Planner {
  printPlan(config: Config): void;
  plannedWorkers(config: Config, changes: readonly ThreadsChange[]): WorkerPlan[];
}

export const planner = async (): Promise<Planner> => (await import(PLANNER)) as Planner;

/** The workers that the next start of a node would have. Throws a `CliError` where it would be refused, with the reason. */
export async function plannedWorkers(config: Config, changes: readonly ThreadsChange[] = []): Promise<WorkerPlan[]> {
  const { plannedWorkers: planned } = await planner();
  try {
    return planned(config, changes);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}
