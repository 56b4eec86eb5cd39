import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkerPlan } from '@app/contracts';
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
    ...{ id: 'all-realtime', partitionId: 'all', lane: 'realtime', cpus: [0] },
    ...{ socketPath: join(folder, 'worker.sock'), models: [], queueItemsMax: 16, channelBytes: 4 << 20 },
    ...overrides,
  });
  const model = {
    ...{ name: 'm', version: '1', modelPath: '/nowhere/model.onnx', batchAxisName: null, sequenceAxisNames: [], padValues: {} },
    ...{ paddingIsSafe: null, batchInvariant: false, batchRowsMax: 8, batchTokensMax: 64, runTimeoutMs: 1000, endsByCost: true, deduplicate: true, sloMs: null, rowTokensMax: null },
  };

  const start = (overrides: Partial<WorkerPlan> = {}, ortLibraryPath: string | null = null): WorkerHandle => {
    const worker = startWorker({ plan: plan(overrides), ortLibraryPath });
    workers.push(worker);
    return worker;
  };

  it('names the library that cannot be used', () => {
    expect(() => start({}, '/nowhere/libonnxruntime.so')).toThrow('/nowhere/libonnxruntime.so');
  });

  it('names the setting that is not acceptable', () => {
    expect(() => start({ cpus: [] })).toThrow('expected at least one CPU');
    expect(() => start({ cpus: [-1] })).toThrow('cpus');
    expect(() => start({ queueItemsMax: 0 })).toThrow('queueItemsMax');
    expect(() => start({ models: [{ ...model, batchRowsMax: 0.5 }] })).toThrow('batchRowsMax');
    expect(() => start({ models: [{ ...model, padValues: { ids: 'x' as unknown as number } }] })).toThrow('padValues');
  });

  it('reports a socket that cannot be opened', () => {
    expect(() => start({ socketPath: join(folder, 'missing', 'worker.sock') })).toThrow(/No such file/);
  });

  it('reports a model that cannot be loaded, and starts all the same', async () => {
    const worker = start({ models: [model] });
    while (worker.models()[0]?.state === 'loading') await new Promise((resolve) => setTimeout(resolve, 5));
    expect(worker.models()).toEqual([{ name: 'm', version: '1', state: 'failed', reason: expect.stringContaining('/nowhere/model.onnx'), signature: null, cost: null }]);
  });

  it('starts counting from zero', () => {
    const [stats] = start({ models: [model] }).stats();
    expect(stats).toMatchObject({ name: 'm', version: '1', rows: 0, realTokens: 0, paddingTokens: 0, queueItems: 0, queueAgeSeconds: 0 });
    expect(stats?.batchRows.at(-1)).toEqual({ rowsMax: null, batches: 0 });
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
