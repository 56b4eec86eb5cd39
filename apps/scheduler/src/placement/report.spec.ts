import { loadConfig, type FileConfig } from '@app/config';
import type { WorkerModelPlan } from '@app/contracts';
import { gpusOf, type GpuMachine } from '../../../../test/fixtures/gpu-machines';
import { planPlacement } from './placement';
import { planReport } from './report';
import { MACHINES, topologyOfMachine, type MachineName } from './testing/machines';

const file = loadConfig({ CONFIG: undefined, DATA_DIR: '/tmp/d' });
const encoder = { name: 'encoder', version: '1', executorThreads: 1 } as WorkerModelPlan;

function report(
  machine: MachineName,
  partitions: (Partial<FileConfig['partitions'][number]> & { id: string; cpus: string })[] = [],
  colours = false,
  gpus: GpuMachine = 'no-tool',
  model = encoder,
): string {
  const topology = topologyOfMachine(MACHINES[machine]);
  const plan = planPlacement({
    topology,
    gpus: gpusOf(gpus),
    config: { ...file, partitions: partitions.map((partition) => ({ class: 'burstable', batchBesideReserved: false, ...partition })) },
    models: [{ name: 'encoder', version: '1', tags: [], lanes: null, plans: { realtime: model, batch: model } }],
    socketPathOf: (id) => id,
  });
  return planReport({ ...plan, topology }, colours);
}

describe('report of a plan', () => {
  it('draws each CPU, hyper-threads below each other, and lists partitions, workers, models and warnings', () => {
    const partitions = [
      { id: 'front', class: 'reserved' as const, cpus: '1-2', models: ['encoder'] },
      { id: 'shared', cpus: '3-5', memory: 2 ** 31 },
    ];
    expect(report('eightThreads', partitions)).toBe(`8 usable CPUs (0-7) of 8 online, 32 GiB of memory

package 0, NUMA node 0
  CPU 0-3  .. Ar Ar Bb
  CPU 4-7  Bb Bl .. ..
letter: partition; r reserved, b burstable, l burstable without a batch executor; .. left to the system; -- not for this process

A  front: reserved, CPU 1-2
   realtime: 2 executors on 1-2: encoder 1
B  shared: burstable, CPU 3-5, memory 2 GiB
   realtime: 3 executors on 3-5: no model
   batch: 2 executors on 3-4: encoder 1
   system: CPU 0,6-7

warning: partition "shared": no model runs in its realtime lane; take the lane out of its lanes, or add to its models
warning: partition "shared": no batch executor on CPU 5, hyper-thread siblings of reserved cores; batchBesideReserved: true allows it`);
  });

  it('says how many threads a run has, and how many runs there are at once', () => {
    const partitions = [{ id: 'all', cpus: '3-7' }];
    expect(report('eightThreads', partitions, false, 'no-tool', { ...encoder, executorThreads: 2 })).toContain(
      'realtime: 5 executors on 3-7: encoder 1 (2 threads a run, 2 at once)',
    );
  });

  it('groups by package and NUMA node, 16 cores a line', () => {
    const lines = report('twoSockets').split('\n');
    expect(lines.filter((line) => /^package/.test(line))).toEqual([
      'package 0, NUMA node 0',
      'package 0, NUMA node 1',
      'package 1, NUMA node 2',
      'package 1, NUMA node 3',
    ]);
    expect(lines.slice(2, 7)).toEqual([
      'package 0, NUMA node 0',
      `  CPU 0-15     ${Array(16).fill('..').join(' ')}`,
      `  CPU 128-143  ${Array(16).fill('..').join(' ')}`,
      `  CPU 16-31    ${Array(16).fill('Ab').join(' ')}`,
      `  CPU 144-159  ${Array(16).fill('Ab').join(' ')}`,
    ]);
    expect(lines.filter((line) => line.startsWith('  CPU')).flatMap((line) => line.match(/[A-D]b|\.\./g))).toHaveLength(256);
  });

  it('shows what this process may not use', () => {
    expect(report('oddContainer')).toContain('  CPU 0-15     -- -- -- .. -- Ab -- Ab Ab Ab -- -- -- -- -- --\n');
  });

  it('shows what each worker has of a GPU', () => {
    const lines = report(
      'eightCpus',
      [
        { id: 'rest', cpus: '0' },
        { id: 'g', cpus: '1-2', gpu: { device: 0, batchPercent: 30 } },
      ],
      false,
      'mps-running',
    ).split('\n');
    expect(lines.filter((line) => line.includes('H100'))).toEqual([
      '   realtime: 1 executor on 1, NVIDIA H100 80GB HBM3 (GPU-4a1c7d0e-52b8-9f36-8d11-0c6e5b7f2a90, MPS share 100 %, memory 35.8 GiB): no model',
      '   batch: 1 executor on 2, NVIDIA H100 80GB HBM3 (GPU-4a1c7d0e-52b8-9f36-8d11-0c6e5b7f2a90, MPS share 30 %, memory 35.8 GiB): no model',
    ]);
  });

  it('has escapes only where colours are wanted', () => {
    expect(report('twoCpus')).not.toContain('\u001b');
    expect(report('twoCpus', [], true)).toContain('\u001b[48;5;28mAb\u001b[0m');
  });
});
