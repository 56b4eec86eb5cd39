import * as fc from 'fast-check';
import { loadConfig, type FileConfig } from '@app/config';
import { LANES, type WorkerModelPlan } from '@app/contracts';
import { gpusOf, type GpuMachine } from '../../../../test/fixtures/gpu-machines';
import { PlacementError } from './partition';
import { planPlacement, type PlacementPlan } from './placement';
import { MACHINES, topologyOfMachine } from './testing/machines';

type PartitionConfig = FileConfig['partitions'][number];
type Settings = Partial<Omit<PartitionConfig, 'gpu'>> & { id: string; gpu?: Partial<PartitionConfig['gpu']> };
const file = loadConfig({ CONFIG: undefined, DATA_DIR: '/tmp/d' });
const GIB = 2 ** 30;
const H100 = 'NVIDIA H100 80GB HBM3';
const ONE_UUID = 'GPU-4a1c7d0e-52b8-9f36-8d11-0c6e5b7f2a90';
const migUuid = (instance: number): string => `MIG-1000000${instance}-9a8b-5c7d-8e6f-5a4b3c2d1e0${instance}`;

interface Model {
  name: string;
  device?: 'cpu' | 'gpu';
}

/** Partition number n of a machine with 256 CPUs gets CPUs 4n to 4n + 3. */
function plan(machine: GpuMachine, partitions: Settings[], models: Model[] = [{ name: 'vision', device: 'gpu' }]): PlacementPlan {
  return planPlacement({
    topology: topologyOfMachine(MACHINES.twoSockets),
    gpus: gpusOf(machine),
    config: {
      ...file,
      partitions: partitions.map(({ gpu, ...settings }, index) => ({
        class: 'burstable',
        cpus: `${4 * index}-${4 * index + 3}`,
        batchBesideReserved: false,
        ...settings,
        ...(gpu ? { gpu: { device: 0, batchPercent: 50, ...gpu } } : {}),
      })),
    },
    models: models.map(({ name, device = 'cpu' }) => {
      const loaded = { name, version: '1', device, executorThreads: 1 } as WorkerModelPlan;
      return { name, version: '1', tags: [], lanes: null, plans: { realtime: loaded, batch: loaded } };
    }),
    socketPathOf: (id) => `/run/${id}.sock`,
  });
}

const gpusByWorker = ({ placement }: PlacementPlan) => placement.workers.map(({ id, gpu, gpuRefusal }) => [id, gpu ?? gpuRefusal]);
const modelsByWorker = ({ placement }: PlacementPlan) => placement.workers.map(({ id, models }) => [id, models.map(({ name }) => name)]);
const NO_LIMITS = { memoryBytes: null, threadPercent: null, ortLibraryPath: null };

describe('GPU of a partition', () => {
  it('is a MIG instance for each lane where the device has them', () => {
    const planned = plan('eight-gpus-one-mig', [{ id: 'g', gpu: { device: 7, ortLibrary: '/opt/ort/libonnxruntime.so' } }]);
    const instance = { sharing: 'mig', name: `${H100} MIG 1g.10gb`, ...NO_LIMITS, ortLibraryPath: '/opt/ort/libonnxruntime.so' };
    expect(gpusByWorker(planned)).toEqual([
      ['g-realtime', { ...instance, uuid: migUuid(0) }],
      ['g-batch', { ...instance, uuid: migUuid(1) }],
    ]);
    expect(planned.warnings.filter((warning) => warning.includes('GPU'))).toEqual([]);
  });

  it('is one of the seven slices of the recorded A100 for each lane', () => {
    const planned = plan('a100-in-seven-slices', [{ id: 'g', gpu: { device: 0 } }]);
    expect(planned.placement.workers.map(({ id, gpu }) => [id, gpu?.uuid])).toEqual([
      ['g-realtime', 'MIG-feb88891-0321-5fef-9c87-d4af3b54259e'],
      ['g-batch', 'MIG-a25704ba-3a06-5299-a795-fd7cf4d13973'],
    ]);
  });

  it('prefers MIG to MPS', () => {
    const withMps = { ...gpusOf('eight-gpus-one-mig'), mpsRuns: true };
    const planned = planPlacement({
      topology: topologyOfMachine(MACHINES.twoCpus),
      gpus: withMps,
      models: [],
      socketPathOf: (id) => id,
      config: {
        ...file,
        partitions: [{ id: 'g', class: 'burstable', cpus: [0], batchBesideReserved: false, gpu: { device: 7, batchPercent: 50 } }],
      },
    });
    expect(planned.placement.workers.map(({ gpu }) => gpu?.sharing)).toEqual(['mig', 'mig']);
  });

  it('takes the instances that are named, and lets other partitions have the rest', () => {
    const planned = plan('eight-gpus-one-mig', [
      { id: 'a', gpu: { device: 7 } },
      { id: 'b', gpu: { device: 7, instances: [1, 0] } },
      { id: 'c', lanes: ['realtime'], gpu: { device: 7 } },
    ]);
    expect(planned.placement.workers.map(({ id, gpu }) => [id, gpu?.uuid])).toEqual([
      ['a-realtime', migUuid(2)],
      ['a-batch', migUuid(3)],
      ['b-realtime', migUuid(1)],
      ['b-batch', migUuid(0)],
      ['c-realtime', migUuid(4)],
    ]);
  });

  it('is refused for the lane whose named instance is not there, and for it alone', () => {
    expect(gpusByWorker(plan('eight-gpus-one-mig', [{ id: 'g', gpu: { device: 7, instances: [9, 1] } }]))).toEqual([
      ['g-realtime', expect.stringMatching(/^GPU 7 has no MIG instance for the realtime lane/)],
      ['g-batch', expect.objectContaining({ uuid: migUuid(1) })],
    ]);
  });

  it('is shared under MPS: the batch lane has its percentage, each lane its part of the memory', () => {
    const memoryBytes = Math.floor(81559 * 2 ** 20 * 0.45);
    const shared = { sharing: 'mps', uuid: ONE_UUID, name: H100, memoryBytes, ortLibraryPath: null };
    expect(gpusByWorker(plan('mps-running', [{ id: 'g', gpu: { batchPercent: 30 } }]))).toEqual([
      ['g-realtime', { ...shared, threadPercent: null }],
      ['g-batch', { ...shared, threadPercent: 30 }],
    ]);
    expect(plan('mps-running', [{ id: 'g', gpu: { memory: 8 * GIB } }]).placement.workers.map(({ gpu }) => gpu?.memoryBytes)).toEqual([
      8 * GIB,
      8 * GIB,
    ]);
  });

  it('is the real-time lane alone where neither MIG nor MPS keeps batches away from it', () => {
    const planned = plan('one-h100', [{ id: 'g', gpu: {} }]);
    const why =
      'GPU 0 is neither divided into MIG instances nor shared by MPS, so batches would take turns with live requests; start MPS (nvidia-cuda-mps-control -d), make MIG instances, or take the batch lane out of the partition';
    expect(gpusByWorker(planned)).toEqual([
      ['g-realtime', { sharing: 'whole', uuid: ONE_UUID, name: H100, ...NO_LIMITS }],
      ['g-batch', why],
    ]);
    expect(planned.warnings).toContain(`model "vision" version 1 is not served in the batch lane: ${why}`);
  });

  it('is all of the one lane that the partition serves, also by UUID', () => {
    const planned = plan('one-h100', [{ id: 'g', lanes: ['batch'], gpu: { device: ONE_UUID } }], []);
    expect(gpusByWorker(planned)).toEqual([['g-batch', { sharing: 'whole', uuid: ONE_UUID, name: H100, ...NO_LIMITS }]]);
  });

  it('has one executor for each lane, on CPUs of their own', () => {
    expect(plan('one-h100', [{ id: 'g', gpu: {} }]).placement.workers.map(({ cpus }) => cpus)).toEqual([[0], [3]]);
  });

  it.each<[string, GpuMachine, Partial<PartitionConfig['gpu']>, RegExp]>([
    ['no tool', 'no-tool', {}, /^nvidia-smi was not found/],
    ['a broken driver', 'driver-broken', {}, /^nvidia-smi failed \(exit code 9\)/],
    ['no such device', 'one-h100', { device: 3 }, /^no GPU 3 here; there is 0 \(GPU-4a1c/],
    ['a prohibited device', 'no-mig-support', {}, /^GPU 0 is in compute mode Prohibited; run: sudo nvidia-smi -i 0 -c DEFAULT$/],
    [
      'an instance too few',
      'eight-gpus-one-mig',
      { device: 7, instances: [9] },
      /^GPU 7 has no MIG instance for the realtime lane of partition "g": 7 in all/,
    ],
  ])('is a refusal of its models with %s, and others run', (_what, machine, gpu, reason) => {
    const planned = plan(machine, [{ id: 'g', gpu }, { id: 'rest' }], [{ name: 'vision', device: 'gpu' }, { name: 'text' }]);
    expect(planned.placement.workers.slice(0, 2).map((worker) => worker.gpu)).toEqual([null, null]);
    expect(planned.placement.workers[0]?.gpuRefusal).toMatch(reason);
    expect(modelsByWorker(planned)).toEqual([
      ['g-realtime', ['vision']],
      ['g-batch', ['vision']],
      ['rest-realtime', ['text']],
      ['rest-batch', ['text']],
    ]);
  });

  it.each<[string, Settings[], GpuMachine, RegExp]>([
    [
      'a device in two partitions',
      [
        { id: 'a', gpu: {} },
        { id: 'b', gpu: { device: ONE_UUID } },
      ],
      'one-h100',
      /^partitions "a" and "b" both have GPU 0: their workers would take turns on it/,
    ],
    [
      'an instance in two partitions',
      [
        { id: 'a', gpu: { device: 7, instances: [1, 2] } },
        { id: 'b', gpu: { device: 7, instances: [2, 3] } },
      ],
      'eight-gpus-one-mig',
      /^partitions "a" and "b" both have MIG instance 2 of GPU 7/,
    ],
    [
      'an instance for both lanes',
      [{ id: 'a', gpu: { device: 7, instances: [1, 1] } }],
      'eight-gpus-one-mig',
      /^partition "a": gpu\.instances names an instance twice/,
    ],
    [
      'instances without MIG',
      [{ id: 'a', gpu: { instances: [0] } }],
      'one-h100',
      /^partition "a": gpu\.instances, but GPU 0 is not in MIG mode/,
    ],
    [
      'more memory than there is',
      [{ id: 'a', gpu: { memory: 60 * GIB } }],
      'mps-running',
      /^partition "a": gpu\.memory 60 GiB for each of 2 workers, but GPU 0 has 79\.6 GiB; lower it$/,
    ],
  ])('is refused with the plan: %s', (_what, partitions, machine, message) => {
    expect(() => plan(machine, partitions)).toThrow(PlacementError);
    expect(() => plan(machine, partitions)).toThrow(message);
  });
});

describe('any configuration of GPUs', () => {
  const SEED = 20261125;
  const gpuSettings = fc.record({
    device: fc.integer({ min: 0, max: 8 }).map((number) => (number < 4 ? 7 : number)), // half of them the one with MIG
    instances: fc.option(fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 2 }),
  });
  const settings = fc.record({
    lanes: fc.subarray([...LANES], { minLength: 1 }),
    gpu: fc.option(gpuSettings, { nil: undefined, freq: 6 }),
  });

  it(`gives a device or instance to one worker, or is refused (seed ${SEED})`, () => {
    let plans = 0;
    const property = fc.property(fc.array(settings, { minLength: 1, maxLength: 5 }), (all) => {
      const planned = planOrRefusal(all.map(({ gpu, lanes }, index) => ({ id: `p${index}`, lanes, gpu })));
      if (planned === null) return;
      plans++;
      const workers = planned.placement.workers;
      const uuids = workers.flatMap(({ gpu }) => gpu?.uuid ?? []);
      expect(new Set(uuids).size).toBe(uuids.length);
      for (const { partitionId, gpu, gpuRefusal } of workers) {
        const wanted = all[Number(partitionId.slice(1))]?.gpu;
        expect([partitionId, gpu !== null || gpuRefusal !== null]).toEqual([partitionId, wanted !== undefined]);
        expect(gpu !== null && gpuRefusal !== null).toBe(false);
      }
    });
    fc.assert(property, { numRuns: 500, seed: SEED });
    expect(plans).toBeGreaterThan(100);
  });

  function planOrRefusal(partitions: Settings[]): PlacementPlan | null {
    try {
      return plan('eight-gpus-one-mig', partitions, []);
    } catch (error) {
      if (error instanceof PlacementError) return null;
      throw error;
    }
  }
});

describe('models for a GPU', () => {
  const models: Model[] = [{ name: 'vision', device: 'gpu' }, { name: 'text' }];

  it('go to the partitions with one, the others to those without', () => {
    expect(modelsByWorker(plan('mps-running', [{ id: 'cpu' }, { id: 'g', gpu: {} }], models))).toEqual([
      ['cpu-realtime', ['text']],
      ['cpu-batch', ['text']],
      ['g-realtime', ['vision']],
      ['g-batch', ['vision']],
    ]);
  });

  it('are refused by the default partition, with what to do', () => {
    const without = plan('no-tool', [], models).placement.workers;
    expect(
      without.every(
        ({ models: own, gpuRefusal }) => own.length === 2 && gpuRefusal?.startsWith('it asks for a GPU: nvidia-smi was not found') === true,
      ),
    ).toBe(true);
    expect(plan('one-h100', [], models).placement.workers[0]?.gpuRefusal).toBe(
      'it asks for a GPU: this partition has no GPU, though the machine has 1; give a partition gpu: { device: 0 } in interleave.yaml, or write device: cpu in its model.yaml',
    );
    expect(plan('one-h100', [], [{ name: 'text' }]).placement.workers[0]?.gpuRefusal).toBeNull();
  });

  it('are refused by some worker where every partition lists other models', () => {
    expect(modelsByWorker(plan('no-tool', [{ id: 'a', models: ['text'] }], models))).toEqual([
      ['a-realtime', ['vision', 'text']],
      ['a-batch', ['vision', 'text']],
    ]);
  });

  it('leave those that do not ask for one without a partition where each has a GPU', () => {
    expect(() => plan('one-h100', [{ id: 'g', gpu: {} }], models)).toThrow(
      /^model "text" version 1 does not ask for a GPU, and every partition with the realtime and batch lane has one; add a partition without/,
    );
  });

  it('are not mixed with models that do not ask for one', () => {
    expect(() => plan('one-h100', [{ id: 'g', gpu: {}, models: ['vision', 'text'] }], models)).toThrow(
      'partition "g" has a GPU and lists model "text" version 1, which does not ask for one; write device: gpu in its model.yaml or list it elsewhere',
    );
  });
});
