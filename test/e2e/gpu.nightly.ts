import { spawnSync } from 'node:child_process';
import { copyFileSync, chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTopology } from '@app/system';
import { Stack, until } from '../support/stack';

/** Models that ask for a GPU, on a machine without one and on one whose ONNX Runtime has no CUDA provider. */
const CLI = join(__dirname, '..', '..', 'bin', 'interleave.js');
const MODELS = ['encoder-tiny', 'langid'];
const ON_GPU = { 'encoder-tiny': 'device: gpu\n' };
const WAIT_MS = 30_000;
const H100_UUID = 'GPU-4a1c7d0e-52b8-9f36-8d11-0c6e5b7f2a90';

/** Whole nodes and programs start, on machines that may be slow. */
jest.setTimeout(300_000);
let stack: Stack | null = null;
afterEach(async () => {
  await stack?.stop();
  stack = null;
});

async function statusOf(path: string): Promise<number> {
  return (await fetch(`${stack?.url}${path}`)).status;
}

async function predict(model: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`${stack?.url}/v1/models/${model}:predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instances: ['guten Morgen'] }),
  });
  return { status: response.status, body: await response.text() };
}

/** The model is refused everywhere with this reason; the other one serves. */
async function expectRefusal(reason: RegExp): Promise<void> {
  await until(
    async () => (await predict('encoder-tiny')).body.includes('cannot be served') && (await statusOf('/v2/models/langid/ready')) === 200,
    WAIT_MS,
    () => `still loading:\n${stack?.log()}`,
  );
  expect((await predict('langid')).status).toBe(200);
  expect(await statusOf('/v2/models/encoder-tiny/ready')).toBe(503);
  expect(await predict('encoder-tiny')).toEqual({ status: 503, body: expect.stringMatching(reason) as string });
  const { stdout } = spawnSync(process.execPath, [CLI, 'models', '--url', stack?.url ?? ''], { encoding: 'utf8', timeout: 60_000 });
  expect(stdout.split('\n').find((line) => line.startsWith('encoder-tiny'))).toMatch(new RegExp(`failed .*${reason.source}`));
  const logged = (): boolean =>
    (stack?.log() ?? '').split('\n').some((line) => line.includes('model cannot be served') && reason.test(line));
  await until(
    async () => logged(),
    WAIT_MS,
    () => `not in the log:\n${stack?.log()}`,
  );
}

it('refuses them without a GPU, and serves the others', async () => {
  stack = await Stack.start({ models: MODELS, modelFiles: ON_GPU });
  await expectRefusal(/it asks for a GPU: .* or write device: cpu in its model\.yaml/);
});

it('refuses them with a library without CUDA; their worker has the environment of its share', async () => {
  const tools = mkdtempSync(join(tmpdir(), 'il-gpu-tools-'));
  try {
    provideTools(tools);
    const [first, second] = readTopology().effective;
    const config = `partitions:\n  - { id: cpu, cpus: [${first}] }\n  - { id: gpu, cpus: [${second}], gpu: { device: 0, batchPercent: 30 } }\n`;
    stack = await Stack.start({
      models: MODELS,
      modelFiles: ON_GPU,
      config,
      environment: { PATH: `${tools}:${process.env['PATH'] ?? ''}` },
    });
    await expectRefusal(/it asks for a GPU, but ONNX Runtime .* offers no CUDAExecutionProvider .*; set gpu\.ortLibrary/);
    const settings = await Promise.all(['gpu-realtime', 'gpu-batch', 'cpu-realtime'].map(cudaSettings));
    expect(settings).toEqual([
      [`CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=100`, 'CUDA_MPS_CLIENT_PRIORITY=0', `CUDA_VISIBLE_DEVICES=${H100_UUID}`],
      [`CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=30`, 'CUDA_MPS_CLIENT_PRIORITY=1', `CUDA_VISIBLE_DEVICES=${H100_UUID}`],
      [],
    ]);
  } finally {
    rmSync(tools, { recursive: true });
  }
});

/** Programs that print what was recorded of a machine with one H100 and MPS. */
function provideTools(dir: string): void {
  const recorded = join(__dirname, '..', 'fixtures', 'gpus', 'mps-running');
  mkdirSync(join(dir, 'recorded'));
  for (const file of ['query.csv', 'list.txt', 'mps-control.txt']) copyFileSync(join(recorded, file), join(dir, 'recorded', file));
  writeFileSync(
    join(dir, 'nvidia-smi'),
    `#!/bin/sh\n[ "$1" = -L ] && exec cat ${dir}/recorded/list.txt\nexec cat ${dir}/recorded/query.csv\n`,
  );
  writeFileSync(join(dir, 'nvidia-cuda-mps-control'), `#!/bin/sh\nexec cat ${dir}/recorded/mps-control.txt\n`);
  for (const program of ['nvidia-smi', 'nvidia-cuda-mps-control']) chmodSync(join(dir, program), 0o755);
}

async function cudaSettings(processId: string): Promise<string[]> {
  const pid = await stack?.pidOf(processId);
  return readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .filter((setting) => setting.startsWith('CUDA_'))
    .sort();
}
