import { loadConfig, runPaths } from '@app/config';
import { CliError } from './cli-error';

/** Asks the scheduler of the node that these settings mean, on this machine. Rejects with what to do where it does not answer. */
export async function askScheduler<T>(question: (socketPath: string) => Promise<T>): Promise<T> {
  const { runDir } = loadConfig();
  try {
    return await question(runPaths(runDir).statusSocket('scheduler'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw new CliError(message);
    throw new CliError(
      `the scheduler in ${runDir} does not answer (${message}); run this where the node runs, with the DATA_DIR that it has`,
    );
  }
}
