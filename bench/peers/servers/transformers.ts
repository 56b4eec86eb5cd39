import cluster from 'node:cluster';
import { dirname } from 'node:path';
import { AutoModel, env, Tensor } from '@huggingface/transformers';
import { MODEL, SETTINGS } from './environment';
import { serveJson } from './json-server';

/** transformers.js behind an HTTP server of Node.js: a process for each worker, and one run for each request. */
async function serve(): Promise<void> {
  env.allowRemoteModels = false;
  const model = await AutoModel.from_pretrained(dirname(MODEL), {
    local_files_only: true,
    subfolder: '',
    dtype: 'fp32',
    session_options: { intraOpNumThreads: SETTINGS.threads, interOpNumThreads: 1 },
  });
  const tensor = (values: number[]): Tensor => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  serveJson(async (ids) => {
    const output = (await model({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) })) as { sentence_embedding: Tensor };
    return Array.from(output.sentence_embedding.data as Float32Array);
  });
}

if (cluster.isPrimary) {
  for (let worker = 0; worker < SETTINGS.workers; worker++) cluster.fork();
  process.once('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.kill();
    process.exit();
  });
} else {
  void serve();
}
