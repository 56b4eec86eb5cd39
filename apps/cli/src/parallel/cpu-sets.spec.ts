import { calledModel, cpuSetsOf, partitionsText } from './cpu-sets';

describe('the CPUs of a layout', () => {
  const CPUS = [3, 4, 5, 6, 7];

  it('are one set for the whole model', () => {
    expect(cpuSetsOf('m', { stages: 1, replicas: 2, width: 2 }, CPUS)).toEqual([{ cpus: [4, 5, 6, 7], models: ['m'] }]);
    expect(calledModel('m', { stages: 1, replicas: 1, width: 1 })).toBe('m');
  });

  it('are a set for each stage', () => {
    expect(cpuSetsOf('m', { stages: 2, replicas: 1, width: 2 }, CPUS)).toEqual([
      { cpus: [4, 5], models: ['m-stage-1'] },
      { cpus: [6, 7], models: ['m-stage-2'] },
    ]);
    expect(calledModel('m', { stages: 2, replicas: 1, width: 2 })).toBe('m-pipeline');
  });

  it('are those of neighbours where there is no room for more sets', () => {
    expect(cpuSetsOf('m', { stages: 4, replicas: 2, width: 1 }, CPUS)).toEqual([
      { cpus: [4, 5], models: ['m-stage-1', 'm-stage-2'] },
      { cpus: [6, 7], models: ['m-stage-3', 'm-stage-4'] },
    ]);
    expect(partitionsText('m', { stages: 4, replicas: 2, width: 1 }, CPUS.length)).toBe(
      'a partition of 2 CPUs in interleave.yaml for m-stage-1 and m-stage-2, another for m-stage-3 and m-stage-4',
    );
  });
});
