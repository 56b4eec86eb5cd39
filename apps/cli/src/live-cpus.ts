import { join } from 'node:path';
import { runPaths, type Config } from '@app/config';
import type { WorkerPlan } from '@app/contracts';
import { readPlacement } from '@app/process';
import { CliError } from './cli-error';

/** The scheduler's planner; found by its path, because no application imports another. */
const PLANNER = join(__dirname, '..', '..', 'scheduler', 'src', 'placement', 'main');

interface Planner {
  printPlan(config: Config): void;
  plannedWorkers(config: Config): WorkerPlan[];
}

export const planner = async (): Promise<Planner> => (await import(PLANNER)) as Planner;

/**
 * The CPUs on which a model answers live requests, by partition: on the node that runs here or, where none has the model, on the one
 * that would. None: its `lanes` leave them out. Throws a `CliError` for a configuration that cannot hold.
 */
export async function liveCpusOf(config: Config, model: string): Promise<number[][]> {
  const running = cpusOf(readPlacement(runPaths(config.runDir).placement)?.workers ?? [], model);
  if (running.length > 0) return running;
  const { plannedWorkers } = await planner();
  try {
    return cpusOf(plannedWorkers(config), model);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

const cpusOf = (workers: readonly WorkerPlan[], model: string): number[][] =>
  workers.filter(({ lane, models }) => lane === 'realtime' && models.some(({ name }) => name === model)).map(({ cpus }) => cpus);
