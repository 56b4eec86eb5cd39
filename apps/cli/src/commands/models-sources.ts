import { InvalidArgumentError, Option, type Command } from 'commander';
import { loadConfig, memorySize, sourceSettings } from '@app/config';
import { byteText } from '@app/contracts';
import { addModel, removeModel, SOURCE_LIMITS, SourceError, type AddRequest, type RemoveRequest } from '@app/model-sources';
import { CliError } from '../cli-error';
import { fetchProgress } from '../fetch-progress';

const ADD_HELP = `
Examples:
  interleave models add hf://sentence-transformers/all-MiniLM-L6-v2
  interleave models add hf://intfloat/e5-small-v2@main/onnx/model.onnx --name e5
  interleave models add s3://models/minilm --name minilm --version 3
  interleave models add oci://ghcr.io/acme/minilm:1.4
  interleave models add file:///srv/exports/minilm --digest sha256:…

Reads HF_TOKEN and HF_ENDPOINT, the AWS SDK's variables and files, and what "docker login" wrote (DOCKER_CONFIG). A running node takes
the version by itself.`;

const REMOVE_HELP = `
Examples:
  interleave models remove minilm 3
  interleave models remove acme/minilm --all

A running node finishes what it has begun with the version.`;

/** The commands that change which files MODELS_DIR holds. */
export function addSourceCommands(models: Command): void {
  models
    .command('add <uri>')
    .description('fetches a model into MODELS_DIR as a version, when its files are whole and can be served')
    .option('--name <name>', 'what it is called (default: as its source calls it)')
    .option('--version <number>', 'which version it becomes (default: the next free number)')
    .option('--revision <revision>', 'of hf://: a branch, a tag or a commit (default: main)')
    .option('--digest <digest>', 'what its files must have, sha256:…: the digest in source.json of an earlier add')
    .addOption(new Option('--bytes-max <size>', 'refuses a larger model').argParser(byteCount).default(SOURCE_LIMITS.bytesMax, '20GiB'))
    .addHelpText('after', ADD_HELP)
    .action(add);
  models
    .command('remove <name> [version]')
    .description('takes a version out of MODELS_DIR and deletes its files')
    .option('--all', 'the whole model, with its model.yaml', false)
    .addHelpText('after', REMOVE_HELP)
    .action(remove);
}

async function add(uri: string, { bytesMax, ...options }: Omit<AddRequest, 'uri'> & { bytesMax: number }): Promise<void> {
  const progress = fetchProgress(process.stderr);
  const { modelsDir } = loadConfig();
  const { name, version, record } = await orCliError(
    addModel({ uri, ...options }, { modelsDir, settings: sourceSettings(), limits: { ...SOURCE_LIMITS, bytesMax }, progress }).finally(() =>
      progress.close(),
    ),
  );
  const bytes = record.files.reduce((sum, file) => sum + file.bytes, 0);
  console.log(`${name} version ${version} is in ${modelsDir}: ${record.files.length} files, ${byteText(bytes)}`);
  console.log(`revision ${record.revision}\ndigest   ${record.digest}`);
}

async function remove(name: string, version: string | undefined, { all }: Pick<RemoveRequest, 'all'>): Promise<void> {
  const { modelsDir } = loadConfig();
  const gone = await orCliError(removeModel({ name, version, all }, modelsDir));
  console.log(`${name} version ${gone.join(', ')} is removed from ${modelsDir}`);
}

function byteCount(text: string): number {
  const result = memorySize.safeParse(text);
  if (result.success) return result.data;
  throw new InvalidArgumentError('expected a whole number of MiB or GiB, as in 4GiB');
}

/** What is wrong with a source is told in one line. */
async function orCliError<T>(done: Promise<T>): Promise<T> {
  return done.catch((error: unknown) => {
    throw error instanceof SourceError ? new CliError(error.message) : error;
  });
}
