import type { ExecutorStatus, IsolationTool, SupervisedProcessStatus } from '@app/contracts';
import type { Topology } from '@app/system';
import { gpusOf } from '../../../../test/fixtures/gpu-machines';
import { judgeGpu } from './gpu-check';
import { cgroupOf, judgeCgroup, judgeKernel, judgeOpenFiles } from './kernel-checks';
import { judgeCpus } from './machine-checks';
import { judgeAddon, judgeTokenizers } from './node-checks';
import { worstOf } from './report';
import { judgeRunning, type RunningNode } from './running-checks';

describe('kernel', () => {
  it.each([
    ['6.18.44-fc', 'ok', 'EEVDF scheduler, time slices, cpu.idle'],
    ['6.12.0-amd64', 'ok', 'time slices'],
    ['6.8.0-45-generic', 'degraded', 'EEVDF scheduler, no time slices (6.12), cpu.idle'],
    ['6.1.0-27-amd64', 'degraded', 'no EEVDF scheduler (6.6), no time slices (6.12), cpu.idle'],
    ['4.18.0-553.el8', 'degraded', 'no cpu.idle (5.15)'],
  ])('%s is %s: %s', (release, verdict, detail) => {
    expect(judgeKernel(release)).toMatchObject({ verdict, detail: expect.stringContaining(detail) as string });
  });
});

describe('cgroup', () => {
  const delegated = { path: '/user.slice/a', controllers: ['memory', 'pids'], isWritable: true, memoryLimited: true };
  it.each([
    ['delegated', delegated, 'ok', '/user.slice takes groups with memory.max'],
    ['of version 1', { ...delegated, path: null, controllers: [], isWritable: false }, 'degraded', 'version 2 is not mounted'],
    ['of another user', { ...delegated, isWritable: false }, 'degraded', '/user.slice is not delegated to this user'],
    ['without the memory controller', { ...delegated, controllers: ['cpu'] }, 'degraded', 'no memory controller'],
    ['with the cpu controller', { ...delegated, controllers: ['cpu', 'memory'] }, 'degraded', 'would void the priorities'],
    ['at the root', { ...delegated, path: '/' }, 'degraded', 'the root group'],
    ['of another user, where no limit is wanted', { ...delegated, isWritable: false, memoryLimited: false }, 'ok', 'not needed'],
  ])('%s', (_what, facts, verdict, detail) => {
    expect(judgeCgroup(facts)).toMatchObject({
      verdict,
      detail: expect.stringContaining(detail) as string,
      remedy: verdict === 'ok' ? null : (expect.stringContaining('Delegate=memory') as string),
    });
  });

  it('is read from the files of the kernel', () => {
    const files: Record<string, string> = {
      '/proc/self/cgroup': '3:cpu:/\n0::/a/b\n',
      '/sys/fs/cgroup/a/b/cgroup.controllers': 'memory\n',
      '/sys/fs/cgroup/a/cgroup.subtree_control': 'memory pids\n',
    };
    const read = (path: string): string | null => files[path] ?? null;
    expect(cgroupOf(read, (path) => ['/sys/fs/cgroup/a', '/sys/fs/cgroup/a/cgroup.procs'].includes(path))).toEqual({
      path: '/a/b',
      controllers: ['memory', 'pids'],
      isWritable: true,
    });
    expect(cgroupOf(read, (path) => path.endsWith('cgroup.procs')).isWritable).toBe(false);
    expect(
      cgroupOf(
        (path) => (path === '/proc/self/cgroup' ? '0::/\n' : null),
        () => true,
      ).path,
    ).toBeNull();
  });
});

describe('limits and CPUs', () => {
  it.each([
    ['Max open files            1024                 1024                 files', 'degraded'],
    ['Max open files            524288               524288               files', 'ok'],
    ['Max open files            unlimited            unlimited            files', 'ok'],
    ['Max processes             1                    1                    processes', 'degraded'],
  ])('%s: %s', (limits, verdict) => {
    expect(judgeOpenFiles(`Limit   Soft Limit  Hard Limit  Units\n${limits}\n`).verdict).toBe(verdict);
  });

  it('names packages, nodes and cores, and finds a quota', () => {
    const places = [0, 1, 2, 3].map((cpu) => ({
      cpu,
      siblings: [cpu % 2, (cpu % 2) + 2],
      packageId: 0,
      nodeId: cpu % 2,
      cacheId: cpu % 2,
    }));
    const topology: Topology = { online: [0, 1, 2, 3], effective: [0, 1], places, memoryBytes: 8 * 2 ** 30 };
    expect(judgeCpus(topology, null)).toMatchObject({
      verdict: 'ok',
      detail: '2 usable (0-1) of 4 online; 1 package, 2 NUMA nodes, 2 cores, 8.0 GiB of memory',
    });
    expect(judgeCpus(topology, 1.5)).toMatchObject({
      verdict: 'degraded',
      detail: expect.stringContaining('a cgroup quota of 1.5 CPUs') as string,
    });
  });
});

describe('GPU', () => {
  const wanted = { askers: ['partition "g"', 'model vision 1'], partitions: 1, librariesWithoutCuda: [] };
  const unwanted = { askers: [], partitions: 0, librariesWithoutCuda: [] };

  it.each([
    ['no-tool', 'ok', 'none, and nothing asks for one (nvidia-smi was not found'],
    ['driver-broken', 'ok', 'nothing asks for one'],
    ['one-h100', 'ok', '0 NVIDIA H100 80GB HBM3; driver 550.127.05, MPS does not run; nothing asks for one'],
  ] as const)('%s is %s where none is wanted', (machine, verdict, detail) => {
    expect(judgeGpu({ inventory: gpusOf(machine), ...unwanted })).toMatchObject({
      verdict,
      detail: expect.stringContaining(detail) as string,
    });
  });

  it.each([
    ['no-tool', 'degraded', 'partition "g", model vision 1 cannot be served: nvidia-smi was not found'],
    ['driver-broken', 'degraded', 'nvidia-smi failed (exit code 9)'],
    ['mps-running', 'ok', '0 NVIDIA H100 80GB HBM3, Exclusive_Process; driver 550.127.05, MPS runs'],
    ['eight-gpus-one-mig', 'ok', '7 NVIDIA H100 80GB HBM3, MIG with 7 instances'],
  ] as const)('%s is %s where one is wanted', (machine, verdict, detail) => {
    expect(judgeGpu({ inventory: gpusOf(machine), ...wanted })).toMatchObject({
      verdict,
      detail: expect.stringContaining(detail) as string,
    });
  });

  it('needs a library for it, and a partition', () => {
    expect(judgeGpu({ inventory: gpusOf('one-h100'), ...wanted, librariesWithoutCuda: ['/opt/libonnxruntime.so'] })).toMatchObject({
      verdict: 'degraded',
      detail: expect.stringContaining('no CUDAExecutionProvider in /opt/libonnxruntime.so') as string,
    });
    expect(judgeGpu({ inventory: gpusOf('one-h100'), askers: ['model vision 1'], partitions: 0, librariesWithoutCuda: [] })).toMatchObject({
      verdict: 'degraded',
      detail: expect.stringContaining('model vision 1: no partition has a GPU') as string,
    });
  });
});

describe('addon and tokenizers', () => {
  it('an addon is stale when its sources are newer', () => {
    expect(judgeAddon({ path: '/a.node', builtMs: 2000, changedMs: 1000 })).toMatchObject({
      verdict: 'ok',
      detail: '/a.node, built 1970-01-01T00:00:02.000Z',
    });
    expect(judgeAddon({ path: '/a.node', builtMs: 2000, changedMs: null }).verdict).toBe('ok');
    expect(judgeAddon({ path: '/a.node', builtMs: 2000, changedMs: 3000 })).toMatchObject({
      verdict: 'degraded',
      remedy: 'run `make build`',
    });
  });

  it('names tokenizers that do not load', () => {
    const fine = { model: 'a 1', hasFastPath: true, error: null };
    expect(judgeTokenizers([fine, { ...fine, hasFastPath: false }])).toMatchObject({
      verdict: 'ok',
      detail: '2 of 2 load, 1 of them with the fast path for short texts',
    });
    expect(judgeTokenizers([fine, { model: 'b 1', hasFastPath: false, error: 'not JSON' }])).toMatchObject({
      verdict: 'degraded',
      detail: expect.stringContaining('1 of 2 load') as string,
    });
  });
});

describe('running node', () => {
  const process: SupervisedProcessStatus = { id: 'api', pid: 7, state: 'ready', restarts: 0, reason: null };
  const tool = (state: IsolationTool['state'], reason: string | null = null): IsolationTool => ({
    tool: 'scheduling-class',
    state,
    reason,
  });
  const executor = (...isolation: IsolationTool[]): ExecutorStatus => ({ cpu: 0, isolation });
  const memory = { resident: 300 * 2 ** 20, modelFiles: 228 * 2 ** 20, limit: null };
  const node = (changes: Partial<RunningNode>): RunningNode => ({
    processes: [process],
    workers: [{ id: 'w', lane: 'batch', memory, isolation: [], executors: [executor(tool('active'), tool('off'))] }],
    runner: [],
    ...changes,
  });
  const verdicts = (running: RunningNode | null) => judgeRunning(running).map(({ subject, verdict }) => [subject, verdict]);

  it('has no line when there is none', () => {
    expect(judgeRunning(null)).toEqual([]);
  });

  it('names the tools that are off', () => {
    const executors = [executor(tool('active'), tool('off', 'awakeMs is 0')), executor(tool('off', 'awakeMs is 0'))];
    const worker: RunningNode['workers'][number] = { id: 'w', lane: 'batch', memory, isolation: [], executors };
    expect(judgeRunning(node({ workers: [worker] })).at(-1)).toMatchObject({
      detail: 'no tool is unavailable on 2 executors of 1 workers; off: batch scheduling-class: awakeMs is 0',
    });
  });

  it.each([
    [
      'all ready',
      node({}),
      [
        ['processes', 'ok'],
        ['memory', 'ok'],
        ['isolation', 'ok'],
      ],
    ],
    [
      'one not ready',
      node({ processes: [process, { ...process, id: 'redis', state: 'backoff', reason: 'exit code 1' }] }),
      [
        ['processes', 'degraded'],
        ['memory', 'ok'],
        ['isolation', 'ok'],
      ],
    ],
    [
      'none ready',
      node({ processes: [{ ...process, state: 'starting' }] }),
      [
        ['processes', 'broken'],
        ['memory', 'ok'],
        ['isolation', 'ok'],
      ],
    ],
    [
      'a tool refused',
      node({
        workers: [{ id: 'w', lane: 'batch', memory, isolation: [], executors: [executor(tool('unavailable', 'Operation not permitted'))] }],
      }),
      [
        ['processes', 'ok'],
        ['memory', 'ok'],
        ['isolation', 'degraded'],
      ],
    ],
    [
      'a tool refused to the whole worker',
      node({ workers: [{ id: 'w', lane: 'batch', memory, isolation: [tool('unavailable', 'no root')], executors: [] }] }),
      [
        ['processes', 'ok'],
        ['memory', 'ok'],
        ['isolation', 'degraded'],
      ],
    ],
    [
      'a tool refused to the runner',
      node({ runner: [tool('unavailable', 'Operation not permitted')] }),
      [
        ['processes', 'ok'],
        ['memory', 'ok'],
        ['isolation', 'degraded'],
      ],
    ],
  ])('%s', (_what, running, expected) => {
    expect(verdicts(running)).toEqual(expected);
  });

  it.each([
    [null, 'ok', 'w has 300 MiB for 228 MiB of model files'],
    [400 * 2 ** 20, 'ok', 'w has 300 MiB for 228 MiB of model files, limit 400 MiB'],
    [320 * 2 ** 20, 'degraded', 'w has 300 MiB for 228 MiB of model files, limit 320 MiB'],
  ])('compares memory with a limit of %s', (limit, verdict, detail) => {
    const workers = [{ id: 'w', lane: 'batch' as const, memory: { ...memory, limit }, isolation: [], executors: [] }];
    expect(judgeRunning(node({ workers }))[1]).toMatchObject({ subject: 'memory', verdict, detail });
  });

  it('says each lack once', () => {
    const refused = executor(tool('unavailable', 'Operation not permitted'));
    const isolation = judgeRunning(
      node({ workers: [{ id: 'w', lane: 'batch', memory, isolation: [], executors: [refused, refused] }] }),
    )[2];
    expect(isolation?.detail).toBe('batch scheduling-class: Operation not permitted');
  });
});

it('the worst finding is the verdict', () => {
  const finding = (verdict: 'ok' | 'degraded' | 'broken') => ({ subject: 's', verdict, detail: '', remedy: null });
  expect(worstOf([])).toBe('ok');
  expect(worstOf([finding('ok'), finding('degraded')])).toBe('degraded');
  expect(worstOf([finding('broken'), finding('degraded')])).toBe('broken');
});
