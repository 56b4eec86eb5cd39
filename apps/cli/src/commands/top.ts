import type { Command } from 'commander';
import type { NodeView } from '@app/contracts';
import { ApiClient, withServer, type Server } from '../client';
import { runTop, snapshotText } from '../top/run-top';

interface Options extends Server {
  once?: true;
  json?: true;
}

export function addTopCommand(program: Command): void {
  withServer(program.command('top'))
    .description('shows a node as it runs: verdict, lanes, CPUs, models, batches, events; for operators')
    .option('--once', 'prints it once as text, as it does where there is no terminal')
    .option('--json', 'prints once what the server says')
    .addHelpText('after', '\nKeys: q ends, tab and arrows move, p pauses a batch, c cancels it, ? explains. NO_COLOR=1 leaves colours out.')
    .action(async ({ once, json, ...server }: Options) => {
      const client = new ApiClient(server);
      if (json === true) console.log(JSON.stringify(await client.get<NodeView>('/dashboard/view'), null, 2));
      else if (once === true || !process.stdout.isTTY || !process.stdin.isTTY)
        console.log(await snapshotText(client, process.stdout.columns));
      else await runTop(client);
    });
}
