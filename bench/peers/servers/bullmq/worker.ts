import { Worker } from 'bullmq';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { MODEL, SETTINGS } from '../environment';

/** One of the worker processes: a job is a row. */
async function main(): Promise<void> {
  const session = await InferenceSession.create(MODEL, { intraOpNumThreads: SETTINGS.threads, interOpNumThreads: 1 });
  const tensor = (values: number[]): Tensor => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const worker = new Worker<{ ids: number[] }, number[]>(
    'embed',
    async ({ data: { ids } }) => {
      const output = await session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
      return Array.from(output['sentence_embedding']?.data as Float32Array);
    },
    { connection: { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null } },
  );
  worker.on('error', () => undefined);
}

void main();
