import type { Command } from 'commander';
import type { ModelState, Task } from '@app/contracts';
import { ApiClient, withUrl, type ListPage } from '../client';
import { table } from '../table';

interface ListedModel {
  id: string;
  task?: Task;
  versions?: { version: string; state: ModelState; reason: string | null; merging: string | null }[];
}

export function addModelsCommand(program: Command): void {
  withUrl(program.command('models'))
    .description('lists the models of the server: state, task, versions, whether rows share runs, and why one cannot be served')
    .action(async ({ url }: { url: string }) => {
      const { data } = await new ApiClient(url).get<ListPage<ListedModel>>('/v1/models');
      const rows = data.flatMap(({ id, task, versions }) =>
        (versions ?? []).map(({ version, state, reason, merging }) => [id, version, state, task ?? '', merging ?? '', reason ?? '']),
      );
      console.log(rows.length === 0 ? 'no models' : table(['MODEL', 'VERSION', 'STATE', 'TASK', 'ROWS', 'REASON'], rows));
    });
}
