import { cpuQuotaOf, readTopology, topologyOf } from './topology';

/** A VM with two CPUs, one thread each, as its kernel describes it. */
const VM: Record<string, string> = {
  '/sys/devices/system/cpu/online': '0-1\n',
  '/sys/devices/system/cpu/cpu0/topology/thread_siblings_list': '0\n',
  '/sys/devices/system/cpu/cpu0/topology/physical_package_id': '0\n',
  '/sys/devices/system/cpu/cpu1/topology/thread_siblings_list': '1\n',
  '/sys/devices/system/cpu/cpu1/topology/physical_package_id': '0\n',
  '/sys/devices/system/node/online': '0\n',
  '/sys/devices/system/node/node0/cpulist': '0-1\n',
  '/proc/self/status': 'Name:\tnode\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t0\n',
  '/proc/self/cgroup': '4:memory:/jobs/a\n1:cpu:/\n0::/\n',
  '/proc/meminfo': 'MemTotal:       24684084 kB\nMemFree:        19627448 kB\n',
};

const topology = (changes: Record<string, string | null> = {}) => topologyOf((path) => ({ ...VM, ...changes })[path] ?? null);

describe('topology', () => {
  it('is read from the files of the kernel', () => {
    expect(topology()).toEqual({
      online: [0, 1],
      effective: [0, 1],
      places: [
        { cpu: 0, siblings: [0], packageId: 0, nodeId: 0, cacheId: 0 },
        { cpu: 1, siblings: [1], packageId: 0, nodeId: 0, cacheId: 1 },
      ],
      memoryBytes: 24684084 * 1024,
    });
  });

  it('is never wider than affinity, cgroup and what is online', () => {
    const { effective } = topology({
      '/sys/devices/system/cpu/online': '0-3,5,6\n',
      '/proc/self/status': 'Cpus_allowed_list:\t0-5\n',
      '/proc/self/cgroup': '0::/a/b\n',
      '/sys/fs/cgroup/a/cpuset.cpus.effective': '2-9\n',
    });
    expect(effective).toEqual([2, 3, 5]);
  });

  it.each([
    ['max 100000\n', '150000 100000\n', 1.5],
    ['50000 100000\n', '150000 100000\n', 0.5],
    ['max 100000\n', 'max 100000\n', null],
  ])('finds the least CPU quota of the cgroup (%j) and those above it (%j): %s', (own, above, quota) => {
    const files: Record<string, string> = {
      '/proc/self/cgroup': '0::/a/b\n',
      '/sys/fs/cgroup/a/b/cpu.max': own,
      '/sys/fs/cgroup/a/cpu.max': above,
    };
    expect(cpuQuotaOf((path) => files[path] ?? null)).toBe(quota);
  });

  it.each([
    [150_000, 50_000, 0.5],
    [-1, 150_000, 1.5],
    [-1, -1, null],
  ])('finds the least CPU quota by version 1, of the cgroup (%j us) and those above it (%j us): %s', (ownUs, aboveUs, quota) => {
    const mount = '/sys/fs/cgroup/cpu,cpuacct';
    const files: Record<string, string> = {
      '/proc/self/cgroup': '3:cpuacct,cpu:/a/b\n0::/\n',
      [`${mount}/a/b/cpu.cfs_quota_us`]: `${ownUs}\n`,
      [`${mount}/a/b/cpu.cfs_period_us`]: '100000\n',
      [`${mount}/a/cpu.cfs_quota_us`]: `${aboveUs}\n`,
      [`${mount}/a/cpu.cfs_period_us`]: '100000\n',
    };
    expect(cpuQuotaOf((path) => files[path] ?? null)).toBe(quota);
  });

  it('ignores a cgroup without a CPU set of its own', () => {
    expect(topology({ '/sys/fs/cgroup/cpuset.cpus.effective': '\n' }).effective).toEqual([0, 1]);
  });

  it('refuses sources without a CPU in common, or without an answer', () => {
    expect(() => topology({ '/proc/self/status': 'Cpus_allowed_list:\t4\n' })).toThrow(/no CPU is both allowed \(4\) and online \(0-1\)/);
    expect(() => topology({ '/proc/meminfo': null })).toThrow('/proc/meminfo cannot be read');
  });

  it('knows siblings that are online, and NUMA nodes with gaps in their numbers', () => {
    const { places } = topology({
      '/sys/devices/system/cpu/cpu1/topology/thread_siblings_list': '1,3\n',
      '/sys/devices/system/cpu/cpu1/topology/physical_package_id': '1\n',
      '/sys/devices/system/node/online': '0,8\n',
      '/sys/devices/system/node/node0/cpulist': '0\n',
      '/sys/devices/system/node/node8/cpulist': '1,3\n',
    });
    expect(places[1]).toEqual({ cpu: 1, siblings: [1], packageId: 1, nodeId: 8, cacheId: 1 });
  });

  it('knows who shares the last-level cache', () => {
    const { places } = topology({
      '/sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list': '0\n',
      '/sys/devices/system/cpu/cpu1/cache/index0/shared_cpu_list': '1\n',
      '/sys/devices/system/cpu/cpu1/cache/index3/shared_cpu_list': '0-1\n',
    });
    expect(places.map(({ cacheId }) => cacheId)).toEqual([0, 0]);
  });

  it('takes each CPU for a core of its own where the kernel says nothing', () => {
    const bare = topologyOf((path) => (/topology|node/.test(path) ? null : (VM[path] ?? null)));
    expect(bare.places).toEqual(topology().places);
  });

  it.each([
    ['version 1, above the own group', { '/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes': '1048576\n' }, 1048576],
    ['version 1, without a limit', { '/sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes': '9223372036854771712\n' }, 24684084 * 1024],
    [
      'version 2, the smallest of all groups above',
      { '/proc/self/cgroup': '0::/a/b\n', '/sys/fs/cgroup/a/b/memory.max': 'max\n', '/sys/fs/cgroup/a/memory.max': '2097152\n' },
      2097152,
    ],
  ])('takes the memory limit of cgroup %s', (_name, files, bytes) => {
    expect(topology(files).memoryBytes).toBe(bytes);
  });

  it('reads this machine', () => {
    expect(readTopology().effective.length).toBeGreaterThan(0);
  });
});
