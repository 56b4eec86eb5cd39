import { LOG_LEVELS, type LogLevel } from '@app/contracts';
import pino, { type DestinationStream, type LogFn, type Logger, type LoggerOptions } from 'pino';
import { Repeats } from './repeats';
import { activeTrace } from './tracing/active-trace';

export type { Logger } from 'pino';

/** pino's numbers. Debugging is never held back, and what ends the process comes once. */
const WARN = 40;
const ERROR = 50;
/** Fields that tell lines with the same text apart. */
const SUBJECTS = ['batch_id', 'chunk', 'model', 'version', 'child', 'worker', 'tool', 'code', 'path'] as const;

export const isLogLevel = (text: unknown): text is LogLevel => LOG_LEVELS.includes(text as LogLevel);

/**
 * One JSON line per event on standard output, or a line for people when that is a terminal; `process` names who speaks.
 * Each process formats its own lines, so that none depends on another one that formats. Warnings and errors that repeat are
 * held back (`Repeats`). `destination`: for tests.
 */
export function createLogger(processId: string, level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: { process: processId, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    mixin: () => activeTrace() ?? {},
    hooks: { logMethod: limitRepeats(new Repeats()) },
  };
  if (destination !== undefined) return pino(options, destination);
  return process.stdout.isTTY ? pino(options, terminalStream()) : pino(options);
}

function limitRepeats(repeats: Repeats): NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']> {
  return function (args, write, level) {
    if (level !== WARN && level !== ERROR) return write.apply(this, args);
    const [fields, text] = typeof args[0] === 'string' ? [{}, args[0]] : [args[0] as Record<string, unknown>, String(args[1])];
    const kind = [level, text, ...SUBJECTS.map((name) => fields[name])].join('\n');
    const resume = (heldBack: number): void =>
      (write as LogFn).call(this, { ...subjectsOf(fields), repeated: heldBack }, `${text} (repeated ${heldBack} times)`);
    if (repeats.mayWrite(kind, resume)) write.apply(this, args);
  };
}

function subjectsOf(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(SUBJECTS.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])));
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
