import { Command } from 'commander';
import { ConfigError } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { CliError } from './cli-error';

/** By name, in the order of the help. Each is loaded when it is asked for: all of them take a quarter of a second. */
const COMMANDS: ReadonlyMap<string, () => Promise<(program: Command) => void>> = new Map([
  ['up', async () => (await import('./commands/up')).addUpCommand],
  ['top', async () => (await import('./commands/top')).addTopCommand],
  ['fleet', async () => (await import('./commands/fleet')).addFleetCommand],
  ['envoy-config', async () => (await import('./commands/envoy-config')).addEnvoyConfigCommand],
  ['keys', async () => (await import('./commands/keys')).addKeysCommand],
  ['log-level', async () => (await import('./commands/log-level')).addLogLevelCommand],
  ['models', async () => (await import('./commands/models')).addModelsCommand],
  ['batch', async () => (await import('./commands/batch')).addBatchCommands],
  ['calibrate', async () => (await import('./commands/calibrate')).addCalibrateCommand],
  ['optimize', async () => (await import('./commands/optimize')).addOptimizeCommand],
  ['split', async () => (await import('./commands/split')).addSplitCommand],
  ['autotune', async () => (await import('./commands/autotune')).addAutotuneCommand],
  ['simulate', async () => (await import('./commands/simulate')).addSimulateCommand],
  ['plan', async () => (await import('./commands/plan')).addPlanCommand],
  ['doctor', async () => (await import('./commands/doctor')).addDoctorCommand],
]);

/** The command line. Exit codes: 0 done, 1 failed (or wrong usage), 2 a batch completed with failed rows. */
async function main(): Promise<void> {
  const program = new Command('interleave')
    .description('Serves ONNX models to live callers and runs offline batches on the same CPUs')
    .showHelpAfterError()
    .configureHelp({ showGlobalOptions: true });
  const only = COMMANDS.get(process.argv[2] ?? '');
  for (const load of only === undefined ? COMMANDS.values() : [only]) (await load())(program);
  await program.parseAsync();
}

main().catch((error: Error) => {
  const isExpected =
    error instanceof CliError || error instanceof ConfigError || (error instanceof InterleaveError && error.code !== 'internal');
  process.stderr.write(`interleave: ${isExpected ? error.message : (error.stack ?? error.message)}\n`);
  process.exitCode = 1;
});
