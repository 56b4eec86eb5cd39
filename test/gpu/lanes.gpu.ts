import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readGpus, readTopology } from '@app/system';
import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { fromBase64, maxDifference } from '../support/embeddings';
import { Stack, until } from '../support/stack';

/** One model on a GPU against the same model on the CPU, in both lanes. Needs a GPU and ORT_LIBRARY: `make gpu-check`. */
const MODEL = 'encoder-small';
const TEXTS = Array.from({ length: 64 }, (_, i) => 'the quick brown fox jumps over the lazy dog '.repeat(1 + (i % 12)) + i);
/** fp32 on a GPU sums in another order; TF32 multiplies with 10 bits. */
const DIFFERENCE_MAX = 1e-3;
const BATCH_MS_MAX = 120_000;

const PATH = process.env['PATH'] ?? '';
const before = readGpus(PATH);
const pipes = mkdtempSync(join(tmpdir(), 'il-mps-'));
const mpsEnvironment = { CUDA_MPS_PIPE_DIRECTORY: pipes, CUDA_MPS_LOG_DIRECTORY: pipes };
const startsMps = !before.mpsRuns && before.devices[0]?.migEnabled === false;
let stack: Stack | null = null;

beforeAll(() => {
  if (startsMps) expect(mps(['-d']).status).toBe(0);
});
afterAll(async () => {
  await stack?.stop();
  if (startsMps) mps([], 'quit\n');
  rmSync(pipes, { recursive: true, force: true });
});

function mps(args: string[], input = '') {
  return spawnSync('nvidia-cuda-mps-control', args, {
    env: { ...process.env, ...mpsEnvironment },
    input,
    encoding: 'utf8',
    timeout: 60_000,
  });
}

async function start(options: { modelFiles?: Record<string, string>; config?: string }): Promise<Stack> {
  return (stack = await Stack.start({ models: [MODEL], environment: startsMps ? mpsEnvironment : {}, ...options }));
}

async function vectorsOf(running: Stack): Promise<Float32Array[]> {
  const { data } = await openaiClient(running).embeddings.create({ model: MODEL, input: TEXTS, encoding_format: 'base64' });
  return data.map(({ embedding }) => fromBase64(embedding as unknown as string));
}

async function batchVectors(running: Stack): Promise<Float32Array[]> {
  const client = openaiClient(running);
  const id = await submitEmbeddings(running, MODEL, TEXTS);
  await until(
    async () => (await client.batches.retrieve(id)).status === 'completed',
    BATCH_MS_MAX,
    () => `the batch did not complete:\n${running.log().slice(-4000)}`,
  );
  const lines = await fileLines(running, (await client.batches.retrieve(id)).output_file_id);
  return lines.map((line) => fromBase64(line.response?.body.data[0]?.embedding ?? ''));
}

function expectAlike(actual: Float32Array[], expected: Float32Array[]): void {
  expect(actual).toHaveLength(expected.length);
  const differences = actual.map((vector, i) => maxDifference(vector, expected[i] ?? []));
  console.log(`largest difference ${Math.max(...differences)}`);
  expect(Math.max(...differences)).toBeLessThanOrEqual(DIFFERENCE_MAX);
}

async function environmentOf(running: Stack, worker: string): Promise<string[]> {
  return readFileSync(`/proc/${await running.pidOf(worker)}/environ`, 'utf8').split('\0');
}

it('answers on the GPU as on the CPU, in both lanes on one device', async () => {
  const onCpu = await start({});
  const expected = await vectorsOf(onCpu);
  await onCpu.stop();

  const cpus = readTopology().effective.slice(0, 2).join(',');
  const onGpu = await start({
    modelFiles: { [MODEL]: 'device: gpu\n' },
    config: `partitions: [{ id: gpu, cpus: "${cpus}", gpu: { device: 0, batchPercent: 40 } }]`,
  });
  expectAlike(await vectorsOf(onGpu), expected);
  expectAlike(await batchVectors(onGpu), expected);

  const device = before.devices[0];
  const instances = device?.instances ?? [];
  const [live, batch] = [await environmentOf(onGpu, 'gpu-realtime'), await environmentOf(onGpu, 'gpu-batch')];
  expect(live).toContain(`CUDA_VISIBLE_DEVICES=${instances[0]?.uuid ?? device?.uuid}`);
  expect(batch).toContain(`CUDA_VISIBLE_DEVICES=${instances[1]?.uuid ?? device?.uuid}`);
  if (instances.length === 0) expect(batch).toContain('CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=40');
}, 600_000);
