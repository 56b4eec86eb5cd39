import pino, { type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * One JSON line per event on standard output, or a line for people when that is a terminal; `process` names who speaks.
 * Each process formats its own lines, so that none depends on another one that formats.
 */
export function createLogger(processId: string, level: string): Logger {
  const options = { level, base: { process: processId, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime };
  return process.stdout.isTTY ? pino(options, terminalStream()) : pino(options);
}

function terminalStream(): DestinationStream {
  // Loaded only when needed: it takes 80 ms.
  const pretty = require('pino-pretty') as typeof import('pino-pretty');
  return pretty({
    sync: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,process',
    messageFormat: '{process}: {msg}',
    singleLine: true,
  });
}
