import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelReport, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { GraphBuilder } from '../../../tools/model-builder/src/graph';
import { type ConnectedChannel, ITEM_STATUSES, loadAddon, type ItemStatus } from './addon';
import { completionsOf, submitItems } from './channel-items';
import { startWorker, type StartWorkerOptions, type WorkerHandle } from './worker';

const WEIGHTS = 1 << 20;
const SWAPS = 50;

describe('the models of a running worker', () => {
  let folder: string;
  let worker: WorkerHandle;
  let channel: ConnectedChannel;

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'models-'))));
  afterEach(async () => {
    await worker.close();
    rmSync(folder, { recursive: true });
  });

  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

  /** y = x + added, and `weights` floats that count for nothing. */
  function adder(revision: number, { added = revision, weights = 1, file = `${revision}.onnx` } = {}): WorkerModelPlan {
    const b = new GraphBuilder('adder');
    const x = b.input('x', 'FP32', ['batch', 1]);
    const nothing = b.op('Mul', [b.op('ReduceMax', [b.filled('weights', [1, weights], 1)], { keepdims: 1, axes: [1] }), b.scalar(0)]);
    b.output('y', 'FP32', ['batch', 1], b.op('Add', [b.op('Add', [x, b.scalar(added)]), nothing]));
    const modelPath = join(folder, file);
    writeFileSync(modelPath, b.encode());
    return {
      name: 'adder',
      version: '1',
      revision,
      fingerprint: String(revision),
      device: 'cpu',
      modelPath,
      batchAxisName: null,
      sequenceAxisNames: [],
      inputAxisNames: {},
      padValues: {},
      paddingIsSafe: null,
      mergeRows: 'auto',
      runRowsMax: 8,
      runTokensMax: 64,
      runTimeoutMs: 60_000,
      endsByCost: true,
      executorThreads: 1,
      deduplicate: true,
      sloMs: null,
      rowTokensMax: null,
    };
  }

  const planOf = (models: WorkerModelPlan[]): WorkerPlan => ({
    id: 'all-realtime',
    partitionId: 'all',
    lane: 'realtime',
    cpus: [0],
    processCpus: [0],
    memoryBytes: null,
    socketPath: join(folder, 'worker.sock'),
    models,
    queueItemsMax: 64,
    channelBytes: 4 << 20,
    awakeMs: 0,
    gpu: null,
    gpuRefusal: null,
  });

  async function start(models: WorkerModelPlan[], options: Partial<StartWorkerOptions> = {}): Promise<void> {
    worker = startWorker({ plan: planOf(models), ortLibraryPath: null, ...options });
    channel = await loadAddon().channelConnect({
      socketPath: join(folder, 'worker.sock'),
      arenaBytes: 4 << 20,
      itemsMax: 64,
      timeoutMs: 10_000,
    });
  }

  const set = (...models: WorkerModelPlan[]): void => worker.setModels({ models, gpuRefusal: null });

  async function settled(): Promise<ModelReport[]> {
    while (worker.models().some(({ state }) => state === 'loading')) await pause();
    return worker.models();
  }

  async function left(): Promise<void> {
    while (worker.leavingModels().length > 0) await pause();
  }

  async function answer(revision: number, x: number): Promise<{ status: ItemStatus | undefined; y: number | undefined; message: string }> {
    const addon = loadAddon();
    const input = { index: 0, type: 1, shape: [1, 1], data: new Uint8Array(Float32Array.of(x).buffer) };
    const common = { priority: 0, alone: false, ahead: false, timeoutMs: null, outputs: null, responseBytes: 4096 };
    const ids = submitItems(channel.channel, [{ revision, ...common, inputs: [input] }]);
    expect(ids).toHaveLength(1);
    for (;;) {
      const [completion] = completionsOf(addon.channelReceive(channel.channel, new Uint8Array()));
      if (completion !== undefined) {
        const { status, outputs, message } = completion;
        const data = outputs[0]?.data;
        return { status: ITEM_STATUSES[status], y: data && new Float32Array(Uint8Array.from(data).buffer)[0], message };
      }
      await pause();
    }
  }

  it('are not loaded where they find no memory, and say what would make them fit', async () => {
    const first = adder(1);
    const plan = { ...planOf([first, adder(2)]), memoryBytes: 2 ** 40 };
    await start([], { plan, needBytesOf: ({ revision }) => (revision === 1 ? 2 ** 41 : 2 ** 20) });
    const [large, small] = await settled();
    expect(large).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/^it needs about 2048.0 GiB of memory.* raise memory/) as string,
    });
    expect(small).toMatchObject({ state: 'ready', reason: null });
  });

  it('come and go, and each answers only for itself', async () => {
    const [first, second, third] = [adder(1), adder(2), adder(3)];
    await start([first, second]);
    await settled();
    set(second, third);
    expect(worker.models().map(({ revision }) => revision)).toEqual([2, 3]);
    await settled();
    expect(await answer(1, 0.5)).toEqual({ status: 'gone', y: undefined, message: expect.stringMatching(/^revision 1 is gone/) as string });
    expect(await answer(2, 0.5)).toMatchObject({ status: 'ok', y: 2.5 });
    expect(await answer(3, 0.5)).toMatchObject({ status: 'ok', y: 3.5 });
    await left();
    await expect(worker.measure({ revision: 1, rows: 1, length: 1, trims: false })).rejects.toThrow(/^revision 1 is gone/);
    expect(() => worker.setCostTable(1, { lengths: [1], rows: [1], runNs: [[1]] })).toThrow(/^revision 1 is gone/);
    expect(await worker.measure({ revision: 3, rows: 1, length: 1, trims: false })).toBeGreaterThan(0);
    expect(worker.stats()).toMatchObject([{ name: 'adder', version: '1', items: { ok: 2 } }]);
  });

  it('are loaded again when their plan is another under the same revision, and stay where it is not', async () => {
    await start([adder(1)]);
    await settled();
    set({ ...adder(1) });
    expect(worker.models()).toMatchObject([{ state: 'ready' }]);
    set({ ...adder(1), runRowsMax: 4 });
    expect(worker.models()).toMatchObject([{ state: 'loading' }]);
    expect(await settled()).toMatchObject([{ state: 'ready' }]);
    expect(await answer(1, 1)).toMatchObject({ y: 2 });
  });

  it('are unloaded while they are quarantined, and loaded again by the same worker', async () => {
    const model = adder(1);
    const quarantined = {
      name: 'adder',
      version: '1',
      lane: 'realtime',
      reason: 'killed',
      untilMs: 0,
      periodMs: 0,
      isUnloaded: true,
    } as const;
    await start([model], { quarantined: [quarantined] });
    expect(await settled()).toMatchObject([{ state: 'failed', reason: 'killed' }]);
    set(model);
    expect(await settled()).toMatchObject([{ state: 'ready' }]);
    worker.setModels({ models: [model], gpuRefusal: null, quarantined: [quarantined] });
    expect(await settled()).toMatchObject([{ state: 'failed', reason: 'killed' }]);
  });

  it('are ready only if the files are those of the plan before and after the load', async () => {
    const looks = new Map<number, number>();
    const hasFilesOf = ({ revision }: WorkerModelPlan): boolean => {
      looks.set(revision, (looks.get(revision) ?? 0) + 1);
      return revision === 1 || (revision === 2 && looks.get(2) === 1);
    };
    await start([adder(1)], { hasFilesOf });
    set(adder(1), adder(2), adder(3));
    expect((await settled()).map(({ state, reason }) => [state, reason])).toEqual([
      ['ready', null],
      ['failed', 'its files have changed while they were loaded'],
      ['failed', 'its files have changed'],
    ]);
    expect([...looks]).toEqual([
      [1, 2],
      [2, 2],
      [3, 1],
    ]);
  });

  it('stay as they are when the new ones do not hold together', async () => {
    await start([adder(1)]);
    await settled();
    expect(() => set(adder(2), adder(2))).toThrow('each revision once');
    expect(() => set({ ...adder(2), runRowsMax: 0 })).toThrow('runRowsMax');
    expect(() => set({ ...adder(2), revision: 2 ** 32 })).toThrow('revision');
    expect(() => set({ ...adder(2), revision: 0 })).toThrow('revision');
    expect(worker.models()).toMatchObject([{ revision: 1, state: 'ready' }]);
    set(adder(1), adder(2));
    expect(await settled()).toHaveLength(2);
  });

  it(`take no more memory after ${SWAPS} swaps than after the first`, async () => {
    const residentBytes = (): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
    const large = (revision: number): WorkerModelPlan => adder(revision, { weights: WEIGHTS, added: 0, file: 'large.onnx' });
    await start([large(1)]);
    await settled();
    let early = 0;
    for (let revision = 2; revision <= SWAPS; revision += 1) {
      set(large(revision - 1), large(revision));
      await settled();
      set(large(revision));
      await left();
      expect(await answer(revision, 4)).toMatchObject({ y: 4 });
      if (revision === 20) early = residentBytes();
    }
    const weightBytes = SWAPS * WEIGHTS * 4;
    expect(residentBytes() - early).toBeLessThan(weightBytes / 2.5);
    expect(worker.models()).toMatchObject([{ revision: SWAPS, state: 'ready' }]);
  }, 300_000);
});
