import { basename, extname } from 'node:path';
import type { Command } from 'commander';
import type { BatchObject } from '@app/contracts';
import { openBatchInput } from '../batch-input';
import { followBatch } from '../batch-progress';
import { describe, isOver, listText, type ShownBatch } from '../batch-text';
import { ApiClient, withServer, type ListPage, type Server } from '../client';
import { CliError } from '../cli-error';
import { isTable, outputFormat, submissionOf, type TableOptions } from '../table-input';
import { uploadFile } from '../upload-file';
import { addBatchControlCommands } from './batch-control';

const EXIT_WITH_FAILED_ROWS = 2;
const LIST_LIMIT = 100;

interface SubmitOptions extends Server, TableOptions {
  deterministic?: boolean;
  wait?: boolean;
}

export function addBatchCommands(program: Command): void {
  const batch = program.command('batch').description('submits, follows and fetches batches');
  withServer(batch.command('submit'))
    .description('uploads a file (JSON Lines, Parquet, CSV, Arrow, or text with one row per line) and starts a batch')
    .argument('<file>', 'JSON Lines in the form of OpenAI batches, a table, a text file, or a file:// or s3:// URI that the server reads')
    .option('--model <model>', 'model for the rows of a table or a text file')
    .option('--column <name>', 'column of a table with the texts (of /v1/rerank: with the queries)')
    .option('--pair-column <name>', 'column with the second texts (of /v1/rerank: with the lists of documents)')
    .option('--id <column>', 'column of a table with the ids of its rows (default: they are numbered)')
    .option('--keep <columns>', 'columns of a table that its output has too, with commas between them')
    .option(
      '--endpoint <path>',
      '/v1/embeddings, /v1/classify, /v1/rerank, /v1/tokenize, /v1/models/<model>:predict or /v2/models/<model>/infer (default: the url of the first line, or :predict of --model)',
    )
    .option('--deterministic', 'the same file, model and machine give the same bytes; slower, because every input runs without neighbours')
    .option('--wait', 'show progress, then download the output')
    .option(
      '--output <file>',
      'waits and writes the output there, in the format of its name: .parquet, .csv, else JSON Lines; "-" is standard output (default with --wait: <file>.output.jsonl)',
    )
    .action(submit);
  withServer(batch.command('status'))
    .description('shows one batch')
    .argument('<id>')
    .action(async (id: string, server: Server) => console.log(describe(await new ApiClient(server).batch(id))));
  withServer(batch.command('cancel'))
    .description('cancels a batch; rows that are done stay available')
    .argument('<id>')
    .action(async (id: string, server: Server) =>
      console.log(describe(await new ApiClient(server).post<BatchObject>(`/v1/batches/${encodeURIComponent(id)}/cancel`))),
    );
  withServer(batch.command('download'))
    .description('writes the output and, when there are errors, the error file of a batch')
    .argument('<id>')
    .option('--output <file>', 'where the output goes; "-" is standard output (default: <id>.output with the ending of its format)')
    .action(async (id: string, { output, ...server }: Server & { output?: string }) => {
      const client = new ApiClient(server);
      const batch = await client.batch(id);
      await download(client, batch, output ?? (await defaultOutput(client, batch)));
    });
  withServer(batch.command('list')).description(`lists the last ${LIST_LIMIT} batches, newest first`).action(list);
  addBatchControlCommands(batch);
}

async function submit(path: string, options: SubmitOptions): Promise<void> {
  const client = new ApiClient(options);
  const request = {
    ...((await isTable(path, options)) ? await uploadTable(client, path, options) : await uploadRows(client, path, options)),
    completion_window: '24h',
    ...(options.deterministic ? { deterministic: true } : {}),
  };
  const created = await client.postOnce<BatchObject>('/v1/batches', request);
  if (!options.wait && options.output === undefined) {
    console.log(created.id);
    console.error(`follow it with: interleave batch watch ${created.id}`);
    return;
  }
  console.error(`${created.id} (goes on when this command is interrupted)`);
  const batch = await followBatch(client, created.id);
  if (batch.status !== 'completed') console.error(describe(batch));
  await download(client, batch, options.output ?? `${path}.output.jsonl`);
  if (batch.status !== 'completed') throw new CliError(`batch ${batch.id} ${batch.status}`);
  if (batch.request_counts.failed > 0) process.exitCode = EXIT_WITH_FAILED_ROWS;
}

async function uploadRows(client: ApiClient, path: string, options: SubmitOptions): Promise<object> {
  const { content, endpoint } = await openBatchInput(path, options);
  const format = outputFormat(options.output);
  const { id } = content === null ? await uploadFile(client, path) : await client.upload(basename(path), content);
  return { input_file_id: id, endpoint, ...(format === 'jsonl' ? {} : { output: { format } }) };
}

async function uploadTable(client: ApiClient, path: string, options: SubmitOptions): Promise<object> {
  const { content, request } = submissionOf(path, options);
  if (content === null) return request;
  const { id } = await client.upload(basename(path), content);
  return { input_file_id: id, ...request };
}

async function defaultOutput(client: ApiClient, { id, output_file_id: fileId }: BatchObject): Promise<string> {
  return `${id}.output${fileId ? extname((await client.file(fileId)).filename) : '.jsonl'}`;
}

/** Writes what there is; the error file goes beside the output, `.output` in its name replaced by `.errors`. */
async function download(client: ApiClient, batch: BatchObject, output: string): Promise<void> {
  if (batch.output_file_id) {
    await client.download(batch.output_file_id, output);
    if (output !== '-') console.error(`output: ${output}`);
  }
  if (batch.error_file_id) {
    const errors =
      output === '-' ? `${batch.id}.errors.jsonl` : `${output.replace(/(\.output)?(\.(jsonl|csv|parquet))?$/, '')}.errors.jsonl`;
    await client.download(batch.error_file_id, errors);
    console.error(`failed rows: ${errors}`);
  }
  if (!batch.output_file_id && !batch.error_file_id && !isOver(batch)) {
    throw new CliError(`batch ${batch.id} is ${batch.status}; it has no output yet`);
  }
}

async function list(server: Server): Promise<void> {
  const { data } = await new ApiClient(server).get<ListPage<ShownBatch>>(`/v1/batches?limit=${LIST_LIMIT}`);
  console.log(listText(data));
}
