import { inheritLogLevel, runPaths, type Config } from '@app/config';
import type { LogLevel, NodeLogLevels } from '@app/contracts';
import { commandProcess, levelOf, LOG_LEVEL_COMMAND, type Command } from '@app/process';
import type { Logger } from '@app/telemetry';
import type { ProcessSpec } from './supervision/process-spec';

/** Programs of others log as they like. */
const OTHERS: ReadonlySet<ProcessSpec['kind']> = new Set(['redis', 'envoy']);

/** How much the processes of this node log: asked for and changed in one place, also for those that start later. */
export function nodeLogLevels(config: Pick<Config, 'runDir'>, log: Logger, specs: () => Pick<ProcessSpec, 'id' | 'kind'>[]): Command {
  const tell = async (id: string, body: object): Promise<LogLevel | null> => {
    const socket = runPaths(config.runDir).statusSocket(id);
    return commandProcess<{ level: LogLevel }>(socket, LOG_LEVEL_COMMAND, body).then(
      (answer) => answer.level,
      () => null,
    );
  };
  return async (body): Promise<NodeLogLevels> => {
    const level = levelOf(body);
    if (level !== null) {
      log.info({ from: log.level, to: level }, 'the log level of the node is changed');
      log.level = level;
      inheritLogLevel(level);
    }
    const ids = specs().flatMap(({ id, kind }) => (OTHERS.has(kind) ? [] : [id]));
    const told = await Promise.all(ids.map(async (id) => [id, await tell(id, level === null ? {} : { level })] as const));
    return { level: log.level as LogLevel, processes: { scheduler: log.level as LogLevel, ...Object.fromEntries(told) } };
  };
}
