import { Command } from 'commander';
import { addTopCommand } from '../../commands/top';

/** The command alone, from the sources, for a terminal of a test. */
const program = new Command('interleave').exitOverride();
addTopCommand(program);
program.parseAsync().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
