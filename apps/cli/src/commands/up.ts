import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { loadConfigWith, localUrl, PROCESS_KINDS, runPaths, type Config } from '@app/config';
import { fetchStatus } from '@app/process';
import { exampleCommands, type ExampleModel } from './examples';

/** The scheduler's entry; found by its path, because no application imports another. */
const SCHEDULER_MAIN = join(__dirname, '..', '..', '..', 'scheduler', 'src', 'main.js');
const READY_POLL_MS = 100;
const STATUS_MS_MAX = 2000;
/** Comes with the project (models/langid). */
const SHIPPED_MODEL = 'langid';

export function addUpCommand(program: Command): void {
  program
    .command('up')
    .description('starts a node in the foreground: api, workers, batch runner and, without REDIS_URL, a private Redis')
    .addOption(new Option('--only <kinds>', `starts and watches these only, comma-separated: ${PROCESS_KINDS.join(', ')} (or PROCESSES)`))
    .option(
      '--with-envoy',
      'an Envoy beside it spreads requests over all nodes that share the Redis (or WITH_ENVOY=1); ENVOY_PORT, ENVOY_GRPC_PORT',
    )
    .addHelpText(
      'after',
      '\nSettings: HOST, PORT, GRPC_PORT, ACCESS, DATA_DIR, MODELS_DIR, REDIS_URL, CONFIG; see docs/operating.md. Ctrl-C drains; a second one kills all but Redis.',
    )
    .action(async ({ only, withEnvoy }: { only?: string; withEnvoy?: true }) => {
      const config = loadConfigWith({ PROCESSES: only, WITH_ENVOY: withEnvoy && '1' });
      const { runNode } = (await import(SCHEDULER_MAIN)) as { runNode(config: Config): Promise<void> };
      // From here on this process is the scheduler.
      const started = runNode(config);
      if (config.processes.includes('api'))
        void greetWhenReady(localUrl(config), runPaths(config.runDir).statusSocket('api'), (text) => process.stdout.write(text));
      await started;
    });
}

/**
 * Writes where everything is and what to try, once the API behind the status socket answers live requests at `url`. Never
 * rejects: that would end the scheduler.
 */
export async function greetWhenReady(url: string, statusSocket: string, write: (text: string) => void): Promise<void> {
  const modelWhenReady = () => exampleModel(url, statusSocket).catch(() => undefined);
  let model = await modelWhenReady();
  while (model === undefined) {
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS).unref());
    model = await modelWhenReady();
  }
  const { grpcAddress } = await fetchStatus('api', statusSocket, STATUS_MS_MAX).catch(() => ({ grpcAddress: null }));
  write(`${greeting(url, grpcAddress, model)}\n`);
}

/** What a greeting is about: a model; null where there is none; otherwise why none can be looked up. */
type Example = ExampleModel | null | 'needs-key' | 'needs-certificate';

/** The model that comes with the project if it is ready, else another one; undefined while the API is not ready. */
async function exampleModel(url: string, statusSocket: string): Promise<Example | undefined> {
  // Not asked at the port, which another server may have.
  const api = await fetchStatus('api', statusSocket, STATUS_MS_MAX);
  if (api.url === null || api.missing !== null) return undefined;
  if (url.startsWith('https:')) return 'needs-certificate';
  const listing = await fetch(`${url}/v1/models`);
  if (listing.status === 401) return 'needs-key';
  const { data } = (await listing.json()) as { data: { id: string; task: string; ready: boolean }[] };
  const ready = data.filter((model) => model.ready);
  const model = ready.find(({ id }) => id === SHIPPED_MODEL) ?? ready[0];
  if (model === undefined) return null;
  const { id, task } = model;
  if (task !== 'tensor') return { id, task, inputs: null };
  return { id, task, ...((await (await fetch(`${url}/v2/models/${id}`)).json()) as Pick<ExampleModel, 'inputs'>) };
}

function greeting(url: string, grpcAddress: string | null, model: Example): string {
  const lines = [
    '',
    `Interleave is ready at ${url}${grpcAddress === null ? '' : `, gRPC at ${grpcAddress}`}`,
    `  dashboard ${url}/dashboard   API ${url}/docs   queues ${url}/admin/queues   metrics ${url}/metrics`,
    '',
  ];
  if (model === 'needs-certificate') return lines.join('\n');
  if (model === 'needs-key')
    return [
      ...lines,
      'Callers are asked for a key: `node bin/interleave.js keys add --tenant default` makes one (docs/operating.md).',
      '',
    ].join('\n');
  if (model === null)
    return [...lines, 'There is no model yet; put one below MODELS_DIR (docs/quickstart.md) and start again.', ''].join('\n');
  return [
    ...lines,
    `Commands to try with the model ${model.id}${model.id === SHIPPED_MODEL ? ' (which language is a text in?)' : ''}:`,
    ...exampleCommands(url, model).map((command) => `  ${command}`),
    '',
  ].join('\n');
}
