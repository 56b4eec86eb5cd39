import pino, { type Logger } from 'pino';

export type { Logger } from 'pino';

/** One JSON line per event on standard output; `process` names who speaks. */
export function createLogger(processId: string, level: string): Logger {
  return pino({ level, base: { process: processId, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
}
