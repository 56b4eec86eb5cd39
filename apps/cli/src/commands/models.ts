import type { Command } from 'commander';
import { loadConfig, runPaths } from '@app/config';
import type { Lane, ModelOfLane, ReleaseCommand, Task } from '@app/contracts';
import { commandProcess } from '@app/process';
import { CliError } from '../cli-error';
import { ApiClient, withServer, type ListPage, type Server } from '../client';
import { table } from '../table';
import { addReleaseCommands } from './model-releases';

interface Breaker {
  state: string;
  reason: string;
}

interface ListedModel {
  id: string;
  task?: Task;
  versions?: {
    version: string;
    state: string;
    reason: string | null;
    merging: string | null;
    breaker?: Breaker;
    quarantined?: { lane: Lane }[];
  }[];
}

export function addModelsCommand(program: Command): void {
  const models = withServer(program.command('models'));
  models
    .description('lists the models of the server: state, task, versions, whether rows share runs, and why one cannot be served')
    .action(async (server: Server) => {
      const { data } = await new ApiClient(server).get<ListPage<ListedModel>>('/v1/models');
      const rows = data.flatMap(({ id, task, versions }) =>
        (versions ?? []).map(({ version, state, reason, merging, breaker, quarantined = [] }) => [
          id,
          version,
          stateOf(state, quarantined, breaker),
          task ?? '',
          merging ?? '',
          reason ?? breaker?.reason ?? '',
        ]),
      );
      console.log(rows.length === 0 ? 'no models' : table(['MODEL', 'VERSION', 'STATE', 'TASK', 'ROWS', 'REASON'], rows));
    });
  models
    .command('release <model>')
    .description('tries a quarantined model again now; on the machine of the node, with its DATA_DIR')
    .option('--model-version <version>', 'default: all')
    .option('--lane <lane>', 'realtime or batch (default: both)')
    .action(release);
  addReleaseCommands(models);
}

function stateOf(state: string, quarantined: { lane: Lane }[], breaker: Breaker | undefined): string {
  const isPartly = state !== 'quarantined' && quarantined.length > 0;
  return [
    state,
    ...(isPartly ? [`quarantined: ${quarantined.map(({ lane }) => lane).join(', ')}`] : []),
    ...(breaker === undefined ? [] : [`breaker ${breaker.state}`]),
  ].join(', ');
}

async function release(model: string, { modelVersion: version, lane }: { modelVersion?: string; lane?: string }): Promise<void> {
  if (lane !== undefined && lane !== 'realtime' && lane !== 'batch')
    throw new CliError(`--lane: expected realtime or batch but received ${lane}`);
  const { runDir } = loadConfig();
  const command: ReleaseCommand = { model, version, lane };
  const { released } = await commandProcess<{ released: ModelOfLane[] }>(
    runPaths(runDir).statusSocket('scheduler'),
    '/release',
    command,
  ).catch((error: Error) => {
    throw new CliError(
      `the scheduler in ${runDir} does not answer (${error.message}); run this where the node runs, with the DATA_DIR that it has`,
    );
  });
  if (released.length === 0) throw new CliError(`${model} is not quarantined; see: interleave models`);
  for (const { name, version: freed, lane: where } of released) console.log(`${name} version ${freed} is tried again in the ${where} lane`);
}
