import { cpuCgroupOf, readCpuGroup } from './cpu-group';

describe('the CPU cgroup of a process', () => {
  it('is the one of version 1 where it has the CPU controller', () => {
    expect(cpuCgroupOf('4:memory:/m\n2:cpu,cpuacct:/apps\n0::/x/y\n', () => true)).toBe('/apps');
  });

  it('is the nearest of version 2 that the controller knows', () => {
    const exists = (path: string): boolean => path === '/sys/fs/cgroup/app/cpu.weight';
    expect(cpuCgroupOf('0::/app/memory-only\n', exists)).toBe('/app');
    expect(cpuCgroupOf('0::/elsewhere/deep\n', exists)).toBe('/');
  });

  it('is the same for this process whenever it is read, and unknown for one that is gone', () => {
    expect(readCpuGroup(process.pid)).toEqual(readCpuGroup(process.pid));
    expect(readCpuGroup(process.pid)).not.toBeNull();
    expect(readCpuGroup(0x7fffffff)).toBeNull();
  });
});
