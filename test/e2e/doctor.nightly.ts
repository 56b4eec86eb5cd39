import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Stack } from '../support/stack';

interface Report {
  verdict: string;
  findings: { subject: string; verdict: string; detail: string; remedy: string | null }[];
}

const CLI = join(__dirname, '..', '..', 'bin', 'interleave.js');
/** Whole nodes and programs start, on machines that may be slow. */
jest.setTimeout(300_000);
let stack: Stack;
beforeAll(async () => (stack = await Stack.start({ models: ['encoder-tiny', 'langid'], modelFiles: { 'encoder-tiny': 'device: gpu\n' } })));
afterAll(async () => stack?.stop());

function doctor(args: string[], environment: Record<string, string> = {}) {
  const env = {
    ...process.env,
    DATA_DIR: join(stack.dir, 'data'),
    MODELS_DIR: join(stack.dir, 'models'),
    PORT: new URL(stack.url).port,
    GRPC_PORT: stack.grpcAddress.split(':')[1],
    ...environment,
  };
  return spawnSync(process.execPath, [CLI, 'doctor', ...args], { cwd: stack.dir, env, encoding: 'utf8', timeout: 120_000 });
}

it('examines a running node: each finding with a remedy unless it is ok', () => {
  const { status, stdout } = doctor(['--json']);
  expect(status).toBe(0);
  const { verdict, findings } = JSON.parse(stdout) as Report;
  const subjects = findings.map(({ subject }) => subject);
  expect(subjects).toEqual(
    expect.arrayContaining([
      'Node.js',
      'CPUs',
      'kernel',
      'SCHED_IDLE',
      'autogroup',
      'cgroup',
      'open files',
      'Redis',
      'DATA_DIR',
      'addon',
      'ONNX Runtime',
      'GPU',
      'models',
      'tokenizers',
      'processes',
      'isolation',
    ]),
  );
  for (const finding of findings) expect([finding.subject, finding.remedy === null]).toEqual([finding.subject, finding.verdict === 'ok']);
  // The model asks for a GPU that is not there, or that no partition has.
  expect(verdict).toBe('degraded');
  expect(findings.find(({ subject }) => subject === 'GPU')).toMatchObject({
    verdict: 'degraded',
    detail: expect.stringContaining('model encoder-tiny 1') as string,
  });
  expect(findings.find(({ subject }) => subject === 'ONNX Runtime')?.detail).toContain('CPUExecutionProvider');
});

it('says the same as lines, and fails when something is broken', () => {
  const lines = doctor([]).stdout.split('\n');
  expect(lines[0]).toMatch(/^ok {8}Node\.js +\d+/);
  const { status, stdout } = doctor([], { ORT_LIBRARY: '/nowhere/libonnxruntime.so' });
  expect(status).toBe(1);
  expect(stdout).toMatch(/^BROKEN {4}ONNX Runtime .*\/nowhere\/libonnxruntime\.so/m);
});
