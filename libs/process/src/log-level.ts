import { LOG_LEVELS } from '@app/contracts';
import { isLogLevel, type Logger } from '@app/telemetry';
import type { Command } from './process-status';

/** Tells one process how much it is to log. */
export const LOG_LEVEL_COMMAND = '/log-level';
/** Tells the scheduler the same for all processes of its node. */
export const NODE_LOG_LEVEL_COMMAND = '/node-log-level';

/** The level of this process: `{}` asks for it, `{level}` changes it until the process ends. */
export function logLevelCommand(log: Logger): Record<string, Command> {
  return {
    [LOG_LEVEL_COMMAND]: (body) => {
      const level = levelOf(body);
      if (level !== null) log.level = level;
      return { level: log.level };
    },
  };
}

/** Null: the body asks. Throws for a level that is none. */
export function levelOf(body: unknown): (typeof LOG_LEVELS)[number] | null {
  const { level } = (body ?? {}) as { level?: unknown };
  if (level === undefined) return null;
  if (isLogLevel(level)) return level;
  throw new Error(`expected a level of ${LOG_LEVELS.join(', ')} but received ${JSON.stringify(level)?.slice(0, 64)}`);
}
