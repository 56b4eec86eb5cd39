import { cpuCgroupOf, isMachineRoot, readCpuGroup } from './cpu-group';

describe('the CPU cgroup of a process', () => {
  it('is the one of version 1 where it has the CPU controller', () => {
    expect(cpuCgroupOf('4:memory:/m\n2:cpu,cpuacct:/apps\n0::/x/y\n', () => true)).toBe('/apps');
  });

  it('is the nearest of version 2 that the controller knows', () => {
    const exists = (path: string): boolean => path === '/sys/fs/cgroup/app/cpu.weight';
    expect(cpuCgroupOf('0::/app/memory-only\n', exists)).toBe('/app');
    expect(cpuCgroupOf('0::/elsewhere/deep\n', exists)).toBe('/');
  });

  it.each<[string, string, string[], boolean]>([
    ['the root of version 1', '/', ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu/release_agent'], true],
    ['the root of a namespace, version 1', '/', ['/sys/fs/cgroup/cpu,cpuacct'], false],
    ['the root of version 2', '/', [], true],
    ['the root of a namespace, version 2', '/', ['/sys/fs/cgroup/cpu.weight'], false],
    ['another group', '/app', [], false],
  ])('%s: whether it is that of the machine', (_name, cgroup, files, expected) => {
    expect(isMachineRoot(cgroup, (path) => files.includes(path))).toBe(expected);
  });

  it('is the same for this process whenever it is read, and unknown for one that is gone', () => {
    expect(readCpuGroup(process.pid)).toEqual(readCpuGroup(process.pid));
    expect(readCpuGroup(process.pid)).not.toBeNull();
    expect(readCpuGroup(0x7fffffff)).toBeNull();
  });
});
