import { EchoEngine } from './echo-engine';
import { openTestLane } from './open-test-lane';
import { testConfig } from './workspace';

/** A batch runner as a process of its own, for tests that kill it: `lane-process.ts <data directory> <batch settings>`. */
async function main(): Promise<void> {
  const [, , directory = '', settings = '{}'] = process.argv;
  const config = testConfig(directory, JSON.parse(settings) as object);
  const engine = new EchoEngine();
  engine.onRow = (input) => process.send?.(input);
  await openTestLane(config, engine);
}

void main();
