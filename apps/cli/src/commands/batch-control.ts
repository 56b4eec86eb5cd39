import { Argument, type Command } from 'commander';
import type { BatchLogEntry } from '@app/contracts';
import { followBatch } from '../batch-progress';
import { describe, logText, type ShownBatch } from '../batch-text';
import { ApiClient, withServer, type ListPage, type Server } from '../client';
import { CliError } from '../cli-error';

const EXIT_WITH_FAILED_ROWS = 2;
const PRIORITIES = ['low', 'normal', 'high'];

const pathOf = (id: string, door = ''): string => `/v1/batches/${encodeURIComponent(id)}${door}`;

/** What is done with a batch that is there. */
export function addBatchControlCommands(batch: Command): void {
  withServer(batch.command('watch')).description('shows the progress of a batch until it is over').argument('<id>').action(watch);
  withServer(batch.command('pause'))
    .description('stops a batch for now; what runs is finished')
    .argument('<id>')
    .action(async (id: string, server: Server) =>
      console.log(describe(await new ApiClient(server).post<ShownBatch>(pathOf(id, '/pause')))),
    );
  withServer(batch.command('resume'))
    .description('lets a paused batch go on')
    .argument('<id>')
    .action(async (id: string, server: Server) =>
      console.log(describe(await new ApiClient(server).post<ShownBatch>(pathOf(id, '/resume')))),
    );
  withServer(batch.command('retry'))
    .description('starts a new batch with the rows that failed or were not run')
    .argument('<id>')
    .action(retry);
  withServer(batch.command('priority'))
    .description('changes the priority of a batch')
    .argument('<id>')
    .addArgument(new Argument('<priority>').choices(PRIORITIES))
    .action(async (id: string, priority: string, server: Server) =>
      console.log(describe(await new ApiClient(server).post<ShownBatch>(pathOf(id), { priority }))),
    );
  withServer(batch.command('logs'))
    .description('shows what happened to a batch: owners, pauses, retries of chunks, status')
    .argument('<id>')
    .action(async (id: string, server: Server) =>
      console.log(logText((await new ApiClient(server).get<ListPage<BatchLogEntry>>(pathOf(id, '/log'))).data)),
    );
  withServer(batch.command('delete'))
    .description('removes a batch that is over, with its output')
    .argument('<id>')
    .action(async (id: string, server: Server) => {
      await new ApiClient(server).delete(pathOf(id));
      console.log(`${id} deleted`);
    });
}

async function watch(id: string, server: Server): Promise<void> {
  const batch = await followBatch(new ApiClient(server), id);
  console.log(describe(batch));
  if (batch.status !== 'completed') throw new CliError(`batch ${id} ${batch.status}`);
  if (batch.request_counts.failed > 0) process.exitCode = EXIT_WITH_FAILED_ROWS;
}

async function retry(id: string, server: Server): Promise<void> {
  const created = await new ApiClient(server).post<ShownBatch>(pathOf(id, '/retry'));
  console.log(created.id);
  console.error(`follow it with: interleave batch watch ${created.id}`);
}
