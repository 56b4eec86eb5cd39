import { LocalStore } from '@app/batches';
import { EchoEngine } from './echo-engine';
import { dyingStore, type FaultMoment, type FaultPointName } from './fault-points';
import { openTestRunner } from './open-test-runner';
import { testConfig } from './workspace';

/**
 * A batch runner as a process of its own, for tests that kill it: `runner-process.ts <data directory> <batch settings> [<fault point>
 * <moment>]`. With a fault point it kills itself there.
 */
async function main(): Promise<void> {
  const [, , directory = '', settings = '{}', point, moment] = process.argv;
  const config = testConfig(directory, JSON.parse(settings) as object);
  const engine = new EchoEngine();
  engine.onRow = (input) => process.send?.(input);
  const local = new LocalStore(config.dataDir);
  const store = point === undefined ? local : dyingStore(local, point as FaultPointName, moment as FaultMoment);
  await openTestRunner(config, engine, { store });
}

void main();
