import type { Config } from '@app/config';
import { RevisionNumbers } from '../repository/numbers';
import type { NumberOf } from './lane-models';
import { PlacementError } from './partition';
import { planNode, readNodeFacts } from './plan-node';
import { planReport } from './report';

/** `interleave plan`: prints what a scheduler would do here, and starts nothing. Exit code 1 for what would be refused. */
export function printPlan(config: Config): void {
  const numbers = new RevisionNumbers(undefined);
  const numberOf: NumberOf = (...files) => numbers.numberOf(...files);
  try {
    process.stdout.write(`${planReport(planNode(config, readNodeFacts(config, numberOf)), process.stdout.isTTY)}\n`);
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error;
    process.stderr.write(`interleave: ${error.message}\n`);
    process.exitCode = 1;
  }
}
