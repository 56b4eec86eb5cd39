import { EchoEngine } from './echo-engine';
import { openTestRunner } from './open-test-runner';
import { testConfig } from './workspace';

/** A batch runner as a process of its own, for tests that kill it: `runner-process.ts <data directory> <batch settings>`. */
async function main(): Promise<void> {
  const [, , directory = '', settings = '{}'] = process.argv;
  const config = testConfig(directory, JSON.parse(settings) as object);
  const engine = new EchoEngine();
  engine.onRow = (input) => process.send?.(input);
  await openTestRunner(config, engine);
}

void main();
