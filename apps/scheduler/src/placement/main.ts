import { ConfigError, loadConfig } from '@app/config';
import { PlacementError } from './partition';
import { planNode, readNodeFacts } from './plan-node';
import { planReport } from './report';

/** `interleave plan`: prints what a scheduler would do here, and starts nothing. Exit code 1 for what would be refused. */
function main(): void {
  try {
    const config = loadConfig();
    process.stdout.write(`${planReport(planNode(config, readNodeFacts(config)), process.stdout.isTTY)}\n`);
  } catch (error) {
    if (!(error instanceof PlacementError || error instanceof ConfigError)) throw error;
    process.stderr.write(`interleave: ${error.message}\n`);
    process.exitCode = 1;
  }
}

main();
