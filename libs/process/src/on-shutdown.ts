import type { Logger } from '@app/telemetry';

/** One thing to end. When it rejects, that is logged, and the next one is ended all the same. */
export type ShutdownStep = [name: string, end: () => Promise<unknown> | void];

export interface ShutdownOptions {
  log: Logger;
  /**
   * A terminal sends SIGINT and SIGHUP to all processes of its session. The scheduler ends its processes in order, so under
   * it only SIGTERM counts.
   */
  isSupervised: boolean;
  /** Taken in order, as they are when the signal comes: add to the list what was opened. */
  steps: ShutdownStep[];
  /** Called on every signal after the first. */
  onFurtherSignal?: () => void;
}

/**
 * Ends this process on SIGTERM, SIGINT or SIGHUP: exit code 0 once every step is done, 1 when one failed. Call it before
 * anybody can depend on the process, since a signal that nobody handles ends it at once.
 */
export function onShutdown({ log, isSupervised, steps, onFurtherSignal }: ShutdownOptions): void {
  let isEnding = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info({ signal }, isEnding ? `${signal} again` : 'draining');
    if (isEnding) return onFurtherSignal?.();
    isEnding = true;
    void takeAll(log, steps).then((exitCode) => process.exit(exitCode));
  };
  process.on('SIGTERM', onSignal);
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, isSupervised ? () => undefined : onSignal);
}

async function takeAll(log: Logger, steps: ShutdownStep[]): Promise<0 | 1> {
  let exitCode: 0 | 1 = 0;
  for (const [step, end] of steps) {
    try {
      await end();
    } catch (error) {
      exitCode = 1;
      log.error({ err: error, step }, 'closing failed');
    }
  }
  return exitCode;
}
