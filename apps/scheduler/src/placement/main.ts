import type { Config } from '@app/config';
import type { ThreadsChange, WorkerPlan } from '@app/contracts';
import { keptPreemption } from '../preemption';
import { RevisionNumbers } from '../repository/numbers';
import type { NumberOf } from './lane-models';
import type { PlaceableModel } from './model-assignment';
import { PlacementError } from './partition';
import { planNode, readNodeFacts, type NodeFacts } from './plan-node';
import { planReport } from './report';

/** `interleave plan`: prints what a scheduler would do here, and starts nothing. Exit code 1 for what would be refused. */
export function printPlan(config: Config): void {
  try {
    process.stdout.write(`${planReport(planNode(config, factsOf(config)), process.stdout.isTTY)}\n`);
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error;
    process.stderr.write(`interleave: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/**
 * The workers of that plan, with other threads of some runs. Lanes have CPUs of their own where the latest scheduler found that they must.
 * Throws a `PlacementError`, whose message is for the operator.
 */
export function plannedWorkers(config: Config, changes: readonly ThreadsChange[]): WorkerPlan[] {
  const facts = factsOf(config);
  const models = facts.models.map((model) => changed(model, changes));
  return planNode(config, { ...facts, models }, keptPreemption(config.runDir)).placement.workers;
}

function changed(model: PlaceableModel, changes: readonly ThreadsChange[]): PlaceableModel {
  const own = changes.filter(({ name, version }) => name === model.name && (version === null || version === model.version));
  return own.reduce(
    (before, { lane, threads }) => ({
      ...before,
      plans: { ...before.plans, [lane]: { ...before.plans[lane], executorThreads: threads } },
    }),
    model,
  );
}

function factsOf(config: Config): NodeFacts {
  const numbers = new RevisionNumbers(undefined);
  const numberOf: NumberOf = (...files) => numbers.numberOf(...files);
  return readNodeFacts(config, numberOf);
}
