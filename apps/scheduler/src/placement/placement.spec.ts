import { type FileConfig, loadConfig } from '@app/config';
import { LANES, type PreemptionVerdict, type WorkerModelPlan } from '@app/contracts';
import { formatCpuList, parseCpuList } from '@app/system';
import type { PlaceableModel } from './model-assignment';
import { gpusOf } from '../../../../test/fixtures/gpu-machines';
import { PlacementError } from './partition';
import { planPlacement, type PlacementPlan } from './placement';
import { byNeighbourhood } from './partition';
import { MACHINES, topologyOfMachine, type MachineName } from './testing/machines';

type PartitionConfig = FileConfig['partitions'][number];
type Settings = Partial<PartitionConfig> & Pick<PartitionConfig, 'id' | 'cpus'>;
const file = loadConfig({ CONFIG: undefined, DATA_DIR: '/tmp/d' });
const GIB = 2 ** 30;

function plan(
  machine: MachineName,
  partitions: Settings[] = [],
  models: PlaceableModel[] = [],
  verdict: PreemptionVerdict = 'holds',
): PlacementPlan {
  return planPlacement({
    topology: topologyOfMachine(MACHINES[machine]),
    gpus: gpusOf('no-tool'),
    config: { ...file, partitions: partitions.map((partition) => ({ class: 'burstable', batchBesideReserved: false, ...partition })) },
    models,
    socketPathOf: (id) => `/run/${id}.sock`,
    preemption: { verdict },
  });
}

function model(name: string, settings: Partial<PlaceableModel> = {}): PlaceableModel {
  const loaded = { name, version: '1', executorThreads: 1 } as WorkerModelPlan;
  return { name, version: '1', tags: [], lanes: null, plans: { realtime: loaded, batch: loaded }, ...settings };
}

const modelsByWorker = ({ placement }: PlacementPlan) => placement.workers.map(({ id, models }) => [id, models.map(({ name }) => name)]);
const cpusByWorker = ({ placement }: PlacementPlan) => placement.workers.map(({ id, cpus }) => [id, cpus]);

describe('placement without configuration', () => {
  it.each<[MachineName, Record<string, string>, string]>([
    ['oneCpu', { default: '0' }, ''],
    ['twoCpus', { default: '0-1' }, ''],
    ['eightCpus', { default: '1-7' }, '0'],
    ['eightThreads', { default: '1-7' }, '0'],
    ['twoSockets', { node0: '16-31,144-159', node1: '32-63,160-191', node2: '64-95,192-223', node3: '96-127,224-255' }, '0-15,128-143'],
    ['oddContainer', { node0: '5,7-9', node1: '40' }, '3'],
    ['cgroupSmallerThanAffinity', { default: '2-3' }, ''],
    ['cpusOffline', { default: '1-2,5' }, '0'],
  ])('%s: a burstable partition for each NUMA node, a worker for each lane', (machine, partitions, systemCpus) => {
    const { placement, systemCpus: system, warnings } = plan(machine);
    const expected = Object.entries(partitions).map(([id, list]) => ({
      id,
      class: 'burstable',
      cpus: parseCpuList(list),
      memoryBytes: null,
    }));
    expect(placement.partitions).toEqual(expected);
    expect(cpusByWorker(plan(machine))).toEqual(expected.flatMap(({ id, cpus }) => LANES.map((lane) => [`${id}-${lane}`, cpus])));
    expect(system).toEqual(parseCpuList(systemCpus));
    expect(warnings).toEqual([]);
  });

  it('takes the limits of each worker from its lane', () => {
    const [realtime, batch] = plan('twoCpus').placement.workers;
    expect(realtime).toMatchObject({
      queueItemsMax: file.realtime.queueItemsMax,
      channelBytes: file.realtime.channelBytes,
      socketPath: '/run/default-realtime.sock',
    });
    expect(batch).toMatchObject({ queueItemsMax: file.batch.queueItemsMax, socketPath: '/run/default-batch.sock' });
  });
});

describe('configured partitions', () => {
  it('gives a reserved partition to the realtime lane alone', () => {
    const planned = plan('eightCpus', [
      { id: 'front', class: 'reserved', cpus: [3, 2] },
      { id: 'shared', cpus: '4-5' },
    ]);
    expect(cpusByWorker(planned)).toEqual([
      ['front-realtime', [2, 3]],
      ['shared-realtime', [4, 5]],
      ['shared-batch', [4, 5]],
    ]);
    expect(planned.systemCpus).toEqual([0, 1, 6, 7]);
  });

  it('keeps to the lanes of a partition, and its memory', () => {
    const { placement } = plan('eightCpus', [
      { id: 'live', lanes: ['realtime'], cpus: '1-2', memory: 4 * GIB },
      { id: 'grind', lanes: ['batch'], cpus: '3-7' },
    ]);
    expect(placement.workers.map(({ id }) => id)).toEqual(['live-realtime', 'grind-batch']);
    expect(placement.partitions.map(({ memoryBytes }) => memoryBytes)).toEqual([4 * GIB, null]);
  });

  it('puts no batch executor on the sibling of a reserved core, unless told to', () => {
    const front: Settings = { id: 'front', class: 'reserved', cpus: '0-1' };
    const planned = plan('eightThreads', [front, { id: 'shared', cpus: '2-6' }]);
    expect(cpusByWorker(planned).slice(1)).toEqual([
      ['shared-realtime', [2, 3, 4, 5, 6]],
      ['shared-batch', [2, 3, 6]],
    ]);
    expect(planned.warnings).toEqual([expect.stringMatching(/"shared": no batch executor on CPU 4-5, hyper-thread siblings/)]);
    const allowed = plan('eightThreads', [front, { id: 'shared', cpus: '2-6', batchBesideReserved: true }]);
    expect(cpusByWorker(allowed).at(-1)).toEqual(['shared-batch', [2, 3, 4, 5, 6]]);
    expect(allowed.warnings).toEqual([]);
  });

  it.each<[string, MachineName, Settings[], RegExp[]]>([
    [
      'a partition across NUMA nodes',
      'oddContainer',
      [{ id: 'a', cpus: '5,7-9,40' }],
      [/"a" spans NUMA nodes \(5,7-9 on node 0, 40 on node 1\)/],
    ],
    ['no CPU left for the system', 'eightCpus', [{ id: 'a', cpus: '0-7' }], [/every CPU is in a partition/]],
    ['nothing for batches', 'twoCpus', [{ id: 'a', class: 'reserved', cpus: '0-1' }], [/no partition serves the batch lane/]],
    ['nothing for live requests', 'twoCpus', [{ id: 'a', lanes: ['batch'], cpus: '0-1' }], [/no partition serves the real-time lane/]],
    [
      'a list without such a model',
      'twoCpus',
      [{ id: 'a', models: ['absent'], cpus: '0-1' }],
      [/"a": no model has the name or tag "absent"/],
    ],
  ])('warns of %s', (_name, machine, partitions, warnings) => {
    expect(plan(machine, partitions).warnings).toEqual(warnings.map((warning) => expect.stringMatching(warning) as string));
  });

  it.each<[string, MachineName, Settings[], RegExp]>([
    ['a CPU that does not exist', 'twoCpus', [{ id: 'a', cpus: [1, 9] }], /"a": no CPU 9 here; online are 0-1/],
    ['a CPU outside the cpuset', 'oddContainer', [{ id: 'a', cpus: [3, 4] }], /"a": CPU 4 is outside.*3,5,7-9,40/],
    ['a CPU outside the cgroup only', 'cgroupSmallerThanAffinity', [{ id: 'a', cpus: [4] }], /CPU 4 is outside.*2-3/],
    ['an offline CPU', 'cpusOffline', [{ id: 'a', class: 'reserved', cpus: [4] }], /no CPU 4/],
    ['a CPU twice in one partition', 'twoCpus', [{ id: 'a', cpus: [1, 1] }], /"a": CPU 1 is named twice/],
    ['a range that is upside down', 'eightCpus', [{ id: 'a', cpus: '5-3' }], /"a": its list names no CPU/],
    [
      'overlapping reserved sets',
      'eightCpus',
      [
        { id: 'a', class: 'reserved', cpus: '1-3' },
        { id: 'b', class: 'reserved', cpus: '2-4' },
      ],
      /"a" and "b" both have CPU 2-3: "a" reserves it/,
    ],
    [
      'a burstable set within a reserved one',
      'eightCpus',
      [
        { id: 'a', cpus: '2' },
        { id: 'b', class: 'reserved', cpus: '1-3' },
      ],
      /"a" and "b" both have CPU 2: "b" reserves it/,
    ],
    [
      'CPUs that two burstable partitions use',
      'eightCpus',
      [
        { id: 'a', cpus: '1-2' },
        { id: 'b', cpus: '2-3' },
      ],
      /both have CPU 2: two workers of one lane/,
    ],
    [
      'batches in a reserved partition',
      'eightCpus',
      [{ id: 'a', class: 'reserved', lanes: ['realtime', 'batch'], cpus: '1' }],
      /"a": class reserved serves the real-time lane alone/,
    ],
    [
      'a batch lane on siblings of reserved cores only',
      'eightThreads',
      [
        { id: 'a', class: 'reserved', cpus: '0-1' },
        { id: 'b', cpus: '4-5' },
      ],
      /"b": its batch lane has no CPU, since each of 4-5 is the hyper-thread sibling/,
    ],
    [
      'more memory than the machine has',
      'twoCpus',
      [{ id: 'a', cpus: '0', memory: 9 * GIB }],
      /"a" 9 GiB, in all 9 GiB, but this process may use 8 GiB/,
    ],
    [
      'more memory than the cgroup may use, in all',
      'oddContainer',
      [
        { id: 'a', cpus: '5', memory: 8 * GIB },
        { id: 'b', cpus: '7', memory: 5 * GIB },
      ],
      /"a" 8 GiB, "b" 5 GiB, in all 13 GiB, .* 12 GiB/,
    ],
    [
      'one id twice',
      'eightCpus',
      [
        { id: 'a', class: 'reserved', cpus: [1] },
        { id: 'a', cpus: [2] },
      ],
      /partitions\[1\]\.id: "a" is used twice/,
    ],
  ])('refuses %s, with the reason', (_name, machine, partitions, message) => {
    expect(() => plan(machine, partitions)).toThrow(PlacementError);
    expect(() => plan(machine, partitions)).toThrow(message);
  });
});

describe('placement where the self-test found that batch executors do not give way', () => {
  const strict = (machine: MachineName, partitions: Settings[] = []): PlacementPlan => plan(machine, partitions, [], 'fails');

  it.each<[MachineName, Settings[], Record<string, string>]>([
    ['twoCpus', [], { 'default-realtime': '0', 'default-batch': '1' }],
    ['eightCpus', [], { 'default-realtime': '1-4', 'default-batch': '5-7' }],
    // CPU n and n + 4 are one core.
    ['eightThreads', [{ id: 'a', cpus: '0-7' }], { 'a-realtime': '0-1,4-5', 'a-batch': '2-3,6-7' }],
    [
      'eightThreads',
      [
        { id: 'front', class: 'reserved', cpus: '0' },
        { id: 'a', cpus: '1-2,4-6' },
      ],
      { 'front-realtime': '0', 'a-realtime': '1,4-5', 'a-batch': '2,6' },
    ],
    [
      'eightCpus',
      [
        { id: 'a', lanes: ['batch'], cpus: '1-3' },
        { id: 'b', lanes: ['realtime'], cpus: '4' },
      ],
      { 'a-batch': '1-3', 'b-realtime': '4' },
    ],
  ])('%s: no CPU has executors of both lanes, nor other threads of the other lane', (machine, partitions, expected) => {
    const { placement } = strict(machine, partitions);
    expect(Object.fromEntries(placement.workers.map(({ id, cpus }) => [id, formatCpuList(cpus)]))).toEqual(expected);
    for (const { cpus, processCpus } of placement.workers) expect(processCpus).toEqual(cpus);
  });

  it('keeps a partition of one CPU as it is, and warns', () => {
    const { placement, warnings } = strict('oneCpu');
    expect(placement.workers.map(({ cpus }) => cpus)).toEqual([[0], [0]]);
    expect(warnings).toEqual([expect.stringMatching(/"default" has one CPU for both lanes, and batch executors do not give way/)]);
  });

  it.each<PreemptionVerdict>(['holds', 'unclear'])('is the usual one after "%s"', (verdict) => {
    const { placement } = plan('eightCpus', [], [], verdict);
    expect(placement.workers.map(({ cpus, processCpus }) => [cpus, processCpus])).toEqual(
      Array(2).fill([parseCpuList('1-7'), parseCpuList('1-7')]),
    );
  });
});

describe('memory of partitions', () => {
  it('is shared evenly by the workers of a partition', () => {
    const { workers } = plan('eightCpus', [
      { id: 'a', cpus: '1', memory: 4 * GIB },
      { id: 'b', cpus: '2', lanes: ['batch'], memory: GIB },
      { id: 'c', cpus: '3' },
    ]).placement;
    expect(workers.map(({ id, memoryBytes }) => [id, memoryBytes])).toEqual([
      ['a-realtime', 2 * GIB],
      ['a-batch', 2 * GIB],
      ['b-batch', GIB],
      ['c-realtime', null],
      ['c-batch', null],
    ]);
  });
});

describe('runs of several threads', () => {
  const wide = (realtime: number, batch: number, settings: Partial<PlaceableModel> = {}): PlaceableModel => {
    const planned = (executorThreads: number) => ({ name: 'wide', version: '1', executorThreads }) as WorkerModelPlan;
    return { ...model('wide', settings), plans: { realtime: planned(realtime), batch: planned(batch) } };
  };

  it('need as many executors in the lane of each partition that they are placed in', () => {
    const partitions = [
      { id: 'small', cpus: '0-1' },
      { id: 'large', cpus: '2-7', models: ['wide'] },
    ];
    expect(() => plan('eightThreads', partitions, [wide(6, 3)])).not.toThrow();
    expect(() => plan('eightThreads', partitions, [wide(3, 7)])).toThrow(
      'model "wide" version 1: 7 executorThreads, but the batch lane of partition "large" has 6 executors; ' +
        'write executorThreads: { batch: 6 } in its model.yaml, or list it in a partition with more CPUs',
    );
    expect(() => plan('eightThreads', [{ id: 'small', cpus: '0-1' }], [wide(3, 9, { lanes: ['realtime'] })])).toThrow(
      /the realtime lane of partition "small" has 2 executors/,
    );
  });

  it('are on neighbours: of a NUMA node, of a cache, and of different cores first', () => {
    const places = [0, 1, 2, 3, 4, 5, 6, 7].map((cpu) => ({
      cpu,
      siblings: [cpu % 4, (cpu % 4) + 4],
      packageId: 0,
      nodeId: 0,
      cacheId: cpu % 2,
    }));
    const topology = { online: [], effective: [], memoryBytes: GIB, places };
    expect(byNeighbourhood([0, 1, 2, 3, 4, 5, 6, 7], topology)).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
    expect(byNeighbourhood([1, 4, 7], topology)).toEqual([4, 1, 7]);
  });
});

describe('models of partitions', () => {
  const front: Settings = { id: 'front', class: 'reserved', cpus: '1-2', models: ['fast'] };
  const shared: Settings = { id: 'shared', cpus: '3-5' };
  const heavy: Settings = { id: 'heavy', cpus: '6-7', models: ['large'] };

  it('are those it lists by name or tag; lane by lane the others go where nothing is listed', () => {
    const models = [model('fast'), model('other'), model('big', { tags: ['large'] })];
    expect(modelsByWorker(plan('eightCpus', [front, shared, heavy], models))).toEqual([
      ['front-realtime', ['fast']],
      ['shared-realtime', ['other']],
      ['shared-batch', ['fast', 'other']],
      ['heavy-realtime', ['big']],
      ['heavy-batch', ['big']],
    ]);
  });

  it('run in the lanes that model.yaml names', () => {
    const models = [model('fast', { lanes: ['realtime'] }), model('big', { tags: ['large'], lanes: ['batch'] })];
    expect(modelsByWorker(plan('eightCpus', [front, heavy], models))).toEqual([
      ['front-realtime', ['fast']],
      ['heavy-realtime', []],
      ['heavy-batch', ['big']],
    ]);
  });

  it('are in every partition that lists them', () => {
    const also: Settings = { id: 'also', cpus: '3', models: ['fast', 'other'] };
    expect(modelsByWorker(plan('eightCpus', [front, also], [model('fast')]))).toEqual([
      ['front-realtime', ['fast']],
      ['also-realtime', ['fast']],
      ['also-batch', ['fast']],
    ]);
  });

  it.each<[string, Settings[], PlaceableModel, RegExp]>([
    [
      'in no partition',
      [heavy],
      model('stray', { tags: ['x', 'y'] }),
      /"stray" version 1 is in no partition for the realtime and batch lane; add its name or a tag of it \(x, y\) to the models of "heavy"/,
    ],
    [
      'pinned where one of its lanes is not served',
      [front, heavy],
      model('fast'),
      /"fast" version 1 is listed by "front", which does not serve the batch lane; add its name to the models of "heavy", or write lanes: \[realtime\]/,
    ],
    [
      'pinned where none of its lanes is served',
      [front, shared],
      model('fast', { lanes: ['batch'] }),
      /partition "front" lists it but serves the realtime lane only, and model.yaml says lanes: \[batch\]/,
    ],
    [
      'with a lane that no partition serves',
      [front],
      model('other', { lanes: ['batch'] }),
      /model.yaml asks for the batch lane, which no partition serves/,
    ],
  ])('refuses a model %s, with the reason', (_name, partitions, placed, message) => {
    expect(() => plan('eightCpus', partitions, [placed])).toThrow(PlacementError);
    expect(() => plan('eightCpus', partitions, [placed])).toThrow(message);
  });
});
