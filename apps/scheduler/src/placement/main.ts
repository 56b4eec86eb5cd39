import type { Config } from '@app/config';
import type { WorkerPlan } from '@app/contracts';
import { RevisionNumbers } from '../repository/numbers';
import type { NumberOf } from './lane-models';
import { PlacementError } from './partition';
import { planNode, readNodeFacts, type NodePlan } from './plan-node';
import { planReport } from './report';

/** `interleave plan`: prints what a scheduler would do here, and starts nothing. Exit code 1 for what would be refused. */
export function printPlan(config: Config): void {
  try {
    process.stdout.write(`${planReport(planHere(config), process.stdout.isTTY)}\n`);
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error;
    process.stderr.write(`interleave: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/** The workers of that plan. Throws a `PlacementError`, whose message is for the operator. */
export const plannedWorkers = (config: Config): WorkerPlan[] => planHere(config).placement.workers;

function planHere(config: Config): NodePlan {
  const numbers = new RevisionNumbers(undefined);
  const numberOf: NumberOf = (...files) => numbers.numberOf(...files);
  return planNode(config, readNodeFacts(config, numberOf));
}
