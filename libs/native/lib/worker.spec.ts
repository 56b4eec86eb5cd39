import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelReport, WorkerPlan } from '@app/contracts';
import { startWorker, type WorkerHandle } from './worker';

describe('startWorker', () => {
  let folder: string;
  const workers: WorkerHandle[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'start-'));
  });

  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.close()));
    rmSync(folder, { recursive: true });
  });

  const plan = (overrides: Partial<WorkerPlan> = {}): WorkerPlan => ({
    id: 'all-realtime',
    partitionId: 'all',
    lane: 'realtime',
    cpus: [0],
    processCpus: [0],
    memoryBytes: null,
    socketPath: join(folder, 'worker.sock'),
    models: [],
    queueItemsMax: 16,
    channelBytes: 4 << 20,
    awakeMs: 0,
    gpu: null,
    gpuRefusal: null,
    ...overrides,
  });
  const model = {
    name: 'm',
    version: '1',
    revision: 1,
    fingerprint: 'f',
    device: 'cpu' as const,
    modelPath: '/nowhere/model.onnx',
    batchAxisName: null,
    sequenceAxisNames: [],
    inputAxisNames: {},
    padValues: {},
    paddingIsSafe: null,
    mergeRows: 'auto' as const,
    runRowsMax: 8,
    runTokensMax: 64,
    runTimeoutMs: 1000,
    endsByCost: true,
    executorThreads: 1,
    deduplicate: true,
    sloMs: null,
    rowTokensMax: null,
  };

  const start = (overrides: Partial<WorkerPlan> = {}, ortLibraryPath: string | null = null): WorkerHandle => {
    const worker = startWorker({ plan: plan(overrides), ortLibraryPath });
    workers.push(worker);
    return worker;
  };

  const loaded = async (worker: WorkerHandle): Promise<ModelReport[]> => {
    while (worker.models().some(({ state }) => state === 'loading')) await new Promise((resolve) => setTimeout(resolve, 5));
    return worker.models();
  };

  it('names the library that cannot be used', () => {
    expect(() => start({}, '/nowhere/libonnxruntime.so')).toThrow('/nowhere/libonnxruntime.so');
  });

  it('names the setting that is not acceptable', () => {
    expect(() => start({ cpus: [] })).toThrow('expected at least one CPU');
    expect(() => start({ cpus: [-1] })).toThrow('cpus');
    expect(() => start({ queueItemsMax: 0 })).toThrow('queueItemsMax');
    expect(() => start({ models: [{ ...model, runRowsMax: 0.5 }] })).toThrow('runRowsMax');
    expect(() => start({ models: [{ ...model, padValues: { ids: 'x' as unknown as number } }] })).toThrow('padValues');
  });

  it('reports a socket that cannot be opened', () => {
    expect(() => start({ socketPath: join(folder, 'missing', 'worker.sock') })).toThrow(/No such file/);
  });

  it('loads a model last of which the scheduler says so', async () => {
    const pipe = join(folder, 'pipe'); // what reads it waits until somebody writes
    execFileSync('mkfifo', [pipe]);
    const models = [
      { ...model, name: 'last' },
      { ...model, name: 'first', revision: 2 },
      { ...model, name: 'hangs', revision: 3, modelPath: pipe },
    ];
    const last = { name: 'last', version: '1', lane: 'realtime' as const };
    const worker = startWorker({
      plan: plan({ models }),
      ortLibraryPath: null,
      loadLast: [last, { ...last, name: 'first', lane: 'batch' }],
    });
    workers.push(worker);
    const states = (): string[] => worker.models().map(({ state }) => state);
    while (states()[1] === 'loading') await new Promise((resolve) => setTimeout(resolve, 5));
    expect(states()).toEqual(['loading', 'failed', 'loading']);
    const fd = openSync(pipe, 'r+');
    rmSync(pipe);
    closeSync(fd);
    await loaded(worker);
  });

  it('reports a model that cannot be loaded, and starts all the same', async () => {
    expect(await loaded(start({ models: [model] }))).toEqual([
      {
        name: 'm',
        version: '1',
        revision: 1,
        state: 'failed',
        reason: expect.stringContaining('/nowhere/model.onnx'),
        signature: null,
        cost: null,
      },
    ]);
  });

  it('refuses a model that asks for a GPU where there is none, with the reason of the plan', async () => {
    const worker = start({ models: [{ ...model, device: 'gpu', revision: 2 }, model], gpuRefusal: 'it asks for a GPU: there is none' });
    expect((await loaded(worker)).map(({ reason }) => reason)).toEqual([
      'it asks for a GPU: there is none',
      expect.stringContaining('/nowhere/model.onnx'),
    ]);
  });

  it('refuses the models of a GPU whose library has no CUDA provider, and names another', async () => {
    const gpu = {
      sharing: 'mps',
      uuid: 'GPU-1',
      name: 'NVIDIA H100',
      memoryBytes: 2 ** 30,
      threadPercent: 50,
      ortLibraryPath: null,
    } as const;
    const worker = start({ models: [{ ...model, device: 'gpu' }], gpu });
    const reason =
      /^it asks for a GPU, but ONNX Runtime 1\.\d+\.\d+ at .*libonnxruntime\.so\.1 offers no CUDAExecutionProvider \(only .*CPUExecutionProvider\); set gpu\.ortLibrary/;
    expect(await loaded(worker)).toMatchObject([{ state: 'failed', reason: expect.stringMatching(reason) as string }]);
  });

  it('takes the library of the GPU instead of the other', () => {
    const gpu = {
      sharing: 'whole',
      uuid: 'GPU-1',
      name: 'NVIDIA H100',
      memoryBytes: null,
      threadPercent: null,
      ortLibraryPath: '/nowhere/gpu/libonnxruntime.so',
    } as const;
    expect(() => start({ gpu })).toThrow('/nowhere/gpu/libonnxruntime.so');
  });

  it('starts counting from zero', () => {
    const [stats] = start({ models: [model] }).stats();
    expect(stats).toMatchObject({ name: 'm', version: '1', rows: 0, realTokens: 0, paddingTokens: 0, queueItems: 0, queueAgeSeconds: 0 });
    expect(stats?.runRows.at(-1)).toEqual({ rowsMax: null, runs: 0 });
    expect(stats?.items['run-timeout']).toBe(0);
  });

  it('drains, and closes more than once', async () => {
    const worker = start();
    expect(await worker.drain(1000)).toBe(true);
    await worker.close();
    await worker.close();
    expect(worker.stats()).toEqual([]);
  });
});
