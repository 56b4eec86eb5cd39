import type { FileConfig } from '@app/config';
import { loadConfig } from '@app/config';
import { topologyOf, type CpuSources } from '@app/system';
import { PlacementError, planPlacement } from './placement';

/** The kernel's own texts, as recorded on such machines. */
const recorded = {
  oneCpu: { processStatus: 'Cpus_allowed_list:\t0\n', cgroupCpus: null, online: '0\n' },
  twoCpus: { processStatus: 'Cpus_allowed:\t3\nCpus_allowed_list:\t0-1\n', cgroupCpus: '0-1\n', online: '0-1\n' },
  eightCpus: { processStatus: 'Cpus_allowed_list:\t0-7\n', cgroupCpus: '0-7\n', online: '0-7\n' },
  twoSockets: { processStatus: 'Cpus_allowed_list:\t0-255\n', cgroupCpus: null, online: '0-255\n' },
  oddContainer: { processStatus: 'Cpus_allowed_list:\t3,5,7-9,40\n', cgroupCpus: '3,5,7-9,40\n', online: '0-63\n' },
  cgroupSmallerThanAffinity: { processStatus: 'Cpus_allowed_list:\t0-7\n', cgroupCpus: '2-3\n', online: '0-7\n' },
  cpusOffline: { processStatus: 'Cpus_allowed_list:\t0-7\n', cgroupCpus: null, online: '0-2,5\n' },
} satisfies Record<string, CpuSources>;

type Partition = FileConfig['partitions'][number];
const file = loadConfig({ CONFIG: undefined, DATA_DIR: '/tmp/d' });

function plan(machine: keyof typeof recorded, partitions: Partition[] = []) {
  return planPlacement({
    topology: topologyOf(recorded[machine]),
    config: { ...file, partitions },
    models: { realtime: [], batch: [] },
    socketPathOf: (id) => `/run/${id}.sock`,
  });
}

describe('placement without configuration', () => {
  it.each<[keyof typeof recorded, number[]]>([
    ['oneCpu', [0]],
    ['twoCpus', [0, 1]],
    ['eightCpus', [1, 2, 3, 4, 5, 6, 7]],
    ['twoSockets', Array.from({ length: 224 }, (_, index) => index + 32)],
    ['oddContainer', [5, 7, 8, 9, 40]],
    ['cgroupSmallerThanAffinity', [2, 3]],
    ['cpusOffline', [1, 2, 5]],
  ])('%s: one burstable partition with a worker per lane', (machine, cpus) => {
    const placement = plan(machine);
    expect(placement.partitions).toEqual([{ id: 'default', class: 'burstable', cpus }]);
    expect(placement.workers.map(({ id, lane, cpus: own }) => ({ id, lane, own }))).toEqual([
      { id: 'default-realtime', lane: 'realtime', own: cpus },
      { id: 'default-batch', lane: 'batch', own: cpus },
    ]);
  });

  it('takes the limits of each worker from its lane', () => {
    const [realtime, batch] = plan('twoCpus').workers;
    expect(realtime).toMatchObject({ queueItemsMax: file.realtime.queueItemsMax, channelBytes: file.realtime.channelBytes, socketPath: '/run/default-realtime.sock' });
    expect(batch).toMatchObject({ queueItemsMax: file.batch.queueItemsMax, socketPath: '/run/default-batch.sock' });
  });
});

describe('configured partitions', () => {
  it('gives a reserved partition to the realtime lane alone', () => {
    const { workers } = plan('eightCpus', [
      { id: 'front', class: 'reserved', cpus: [3, 2] },
      { id: 'shared', class: 'burstable', cpus: [4, 5] },
    ]);
    expect(workers.map(({ id, cpus }) => [id, cpus])).toEqual([
      ['front-realtime', [2, 3]],
      ['shared-realtime', [4, 5]],
      ['shared-batch', [4, 5]],
    ]);
  });

  it.each<[string, keyof typeof recorded, Partition[], RegExp]>([
    ['a CPU that does not exist', 'twoCpus', [{ id: 'a', class: 'burstable', cpus: [1, 9] }], /"a".*no CPU 9.*0-1/],
    ['a CPU outside the cpuset', 'oddContainer', [{ id: 'a', class: 'burstable', cpus: [3, 4] }], /"a".*CPU 4 is outside.*3,5,7-9,40/],
    ['a CPU outside the cgroup only', 'cgroupSmallerThanAffinity', [{ id: 'a', class: 'burstable', cpus: [4] }], /CPU 4 is outside.*2-3/],
    ['an offline CPU', 'cpusOffline', [{ id: 'a', class: 'reserved', cpus: [4] }], /no CPU 4/],
    ['a CPU twice in one partition', 'twoCpus', [{ id: 'a', class: 'burstable', cpus: [1, 1] }], /"a".*CPU 1 is named twice/],
    [
      'overlapping partitions',
      'eightCpus',
      [
        { id: 'a', class: 'reserved', cpus: [1, 2] },
        { id: 'b', class: 'burstable', cpus: [2, 3] },
      ],
      /"a" and "b" both have CPU 2/,
    ],
    [
      'one id twice',
      'eightCpus',
      [
        { id: 'a', class: 'reserved', cpus: [1] },
        { id: 'a', class: 'burstable', cpus: [2] },
      ],
      /partitions\[1\]\.id.*"a"/,
    ],
  ])('refuses %s, with the reason', (_name, machine, partitions, message) => {
    expect(() => plan(machine, partitions)).toThrow(PlacementError);
    expect(() => plan(machine, partitions)).toThrow(message);
  });
});
