import { parseArgs } from 'node:util';
import { loadConfig } from '@app/config';
import { onShutdown, type ShutdownStep } from '@app/process';
import { createLogger } from '@app/telemetry';
import { Turn } from './turn';

/**
 * One API process. `--id` names it among those of the node; with `--listen-fd` and `--grpc-listen-fd` it accepts on these open
 * sockets, in turn with the others that have them, else on sockets of its own.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { id: { type: 'string', default: 'api' }, 'listen-fd': { type: 'string' }, 'grpc-listen-fd': { type: 'string' } },
  });
  const config = loadConfig();
  const listenFd = fdOf(values['listen-fd']);
  const grpcListenFd = fdOf(values['grpc-listen-fd']);
  const logger = createLogger(values.id, config.logLevel);
  const shutdown: ShutdownStep[] = [];
  onShutdown({ log: logger, isSupervised: config.supervised, steps: shutdown });
  const turn = listenFd === null ? null : await Turn.queue(config.runDir);
  // Loading takes CPU time, which a process that waits for its turn leaves to the one that starts.
  const { runApi } = await import('./api-process');
  await runApi({ config, id: values.id, listenFd, grpcListenFd, turn, logger, shutdown });
}

function fdOf(text: string | undefined): number | null {
  return text === undefined ? null : Number(text);
}

main().catch((error: Error) => {
  process.stderr.write(`api: ${error.stack ?? error.message}\n`);
  process.exitCode = 1;
  // Connections that were opened before the failure would keep the process alive.
  process.exit();
});
