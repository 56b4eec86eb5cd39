import { cpuModelOf, formatCpuList, parseCpuList } from './cpus';

describe('CPU lists', () => {
  it.each([
    ['0', [0]],
    ['0-3\n', [0, 1, 2, 3]],
    ['8,0-1,10-11', [0, 1, 8, 10, 11]],
    ['', []],
  ])('reads %j and writes it back', (text, cpus) => {
    expect(parseCpuList(text)).toEqual(cpus);
    expect(parseCpuList(formatCpuList(cpus))).toEqual(cpus);
  });

  it('writes neighbours as a range', () => {
    expect(formatCpuList([0, 1, 2, 5, 7, 8])).toBe('0-2,5,7-8');
  });

  it('refuses what is no list', () => {
    expect(() => parseCpuList('0-x')).toThrow(/expected ranges/);
  });
});

describe('CPU model', () => {
  it('is the name and the sorted features of an x86 CPU', () => {
    const cpuInfo = 'processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: sse avx2 \n\nprocessor\t: 1\nmodel name\t: other\n';
    expect(cpuModelOf(cpuInfo)).toEqual({ name: 'AMD EPYC', features: ['avx2', 'sse'] });
  });

  it('is put together for an ARM CPU, which has no name', () => {
    const cpuInfo =
      'processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n';
    expect(cpuModelOf(cpuInfo)).toEqual({ name: '0x41 0xd0c 0x3 1', features: ['asimd', 'fp'] });
  });
});
