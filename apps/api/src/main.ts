import { parseArgs } from 'node:util';
import { loadConfig } from '@app/config';
import { Turn } from './turn';

/**
 * One API process. `--id` names it among those of the node; with `--listen-fd` it accepts on that open socket, in turn with
 * the others that have it, else on a socket of its own.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { id: { type: 'string', default: 'api' }, 'listen-fd': { type: 'string' } } });
  const config = loadConfig();
  const listenFd = values['listen-fd'] === undefined ? null : Number(values['listen-fd']);
  // A terminal sends these to all processes: under a scheduler only its SIGTERM counts.
  if (config.supervised) for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
  const turn = listenFd === null ? null : await Turn.queue(config.runDir);
  // Loading takes CPU time, which a process that waits for its turn leaves to the one that starts.
  const { runApi } = await import('./api-process');
  await runApi({ config, id: values.id, listenFd, turn });
}

main().catch((error: Error) => {
  process.stderr.write(`api: ${error.stack ?? error.message}\n`);
  process.exitCode = 1;
  // Connections that were opened before the failure would keep the process alive.
  process.exit();
});
