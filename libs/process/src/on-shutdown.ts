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
    void takeSteps(log, steps).then((allEnded) => process.exit(allEnded ? 0 : 1));
  };
  process.on('SIGTERM', onSignal);
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, isSupervised ? () => undefined : onSignal);
}

/** Takes one step after the other, whatever became of those before; true when all are done. What fails is logged. */
export async function takeSteps(log: Logger, steps: readonly ShutdownStep[]): Promise<boolean> {
  let allEnded = true;
  for (const [step, end] of steps) {
    try {
      await end();
    } catch (error) {
      allEnded = false;
      log.error({ err: error, step }, 'closing failed');
    }
  }
  return allEnded;
}
