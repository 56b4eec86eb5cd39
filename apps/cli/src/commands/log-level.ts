import type { Command } from 'commander';
import { LOG_LEVELS, type NodeLogLevels } from '@app/contracts';
import { commandProcess, NODE_LOG_LEVEL_COMMAND } from '@app/process';
import { isLogLevel } from '@app/telemetry';
import { askScheduler } from '../ask-scheduler';
import { CliError } from '../cli-error';
import { table } from '../table';

/** `interleave log-level`. */
export function addLogLevelCommand(program: Command): void {
  program
    .command('log-level [level]')
    .description(`shows how much each process of the node logs, or changes it (${LOG_LEVELS.join(', ')}); on the machine of the node`)
    .addHelpText('after', '\nHolds until the node is started anew, which takes LOG_LEVEL again. At debug every request has a line.')
    .action(async (level: string | undefined) => {
      if (level !== undefined && !isLogLevel(level))
        throw new CliError(`expected one of ${LOG_LEVELS.join(', ')} for the level but received ${level}`);
      const body = level === undefined ? {} : { level };
      const levels = await askScheduler((socket) => commandProcess<NodeLogLevels>(socket, NODE_LOG_LEVEL_COMMAND, body, 5_000));
      console.log(levelsText(levels));
    });
}

function levelsText({ processes }: NodeLogLevels): string {
  return table(
    ['PROCESS', 'LEVEL'],
    Object.entries(processes).map(([id, level]) => [id, level ?? 'does not answer']),
  );
}
