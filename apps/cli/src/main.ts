import { Command } from 'commander';
import { addAutotuneCommand } from './commands/autotune';
import { addBatchCommands } from './commands/batch';
import { addCalibrateCommand } from './commands/calibrate';
import { addDoctorCommand } from './commands/doctor';
import { addEnvoyConfigCommand } from './commands/envoy-config';
import { addFleetCommand } from './commands/fleet';
import { addKeysCommand } from './commands/keys';
import { addLogLevelCommand } from './commands/log-level';
import { addModelsCommand } from './commands/models';
import { addOptimizeCommand } from './commands/optimize';
import { addPlanCommand } from './commands/plan';
import { addSimulateCommand } from './commands/simulate';
import { addSplitCommand } from './commands/split';
import { addTopCommand } from './commands/top';
import { addUpCommand } from './commands/up';
import { ConfigError } from '@app/config';
import { CliError } from './cli-error';

/** The command line. Exit codes: 0 done, 1 failed (or wrong usage), 2 a batch completed with failed rows. */
async function main(): Promise<void> {
  const program = new Command('interleave')
    .description('Serves ONNX models to live callers and runs offline batches on the same CPUs')
    .showHelpAfterError()
    .configureHelp({ showGlobalOptions: true });
  addUpCommand(program);
  addTopCommand(program);
  addFleetCommand(program);
  addEnvoyConfigCommand(program);
  addKeysCommand(program);
  addLogLevelCommand(program);
  addModelsCommand(program);
  addBatchCommands(program);
  addCalibrateCommand(program);
  addOptimizeCommand(program);
  addSplitCommand(program);
  addAutotuneCommand(program);
  addSimulateCommand(program);
  addPlanCommand(program);
  addDoctorCommand(program);
  await program.parseAsync();
}

main().catch((error: Error) => {
  process.stderr.write(
    `interleave: ${error instanceof CliError || error instanceof ConfigError ? error.message : (error.stack ?? error.message)}\n`,
  );
  process.exitCode = 1;
});
