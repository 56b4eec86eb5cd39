import * as fc from 'fast-check';
import { loadConfig, type FileConfig } from '@app/config';
import { LANES, type WorkerModelPlan } from '@app/contracts';
import { formatCpuList, parseCpuList, type Topology } from '@app/system';
import type { PlaceableModel } from './model-assignment';
import { gpusOf } from '../../../../test/fixtures/gpu-machines';
import { PlacementError } from './partition';
import { planPlacement, type PlacementPlan } from './placement';
import { topologyOfMachine } from './testing/machines';

type PartitionConfig = FileConfig['partitions'][number];
const file = loadConfig({ CONFIG: undefined, DATA_DIR: '/tmp/d' });
const RUNS = 2000;
const SEED = 20261124;
const WORDS = ['a', 'b', 'c'];

const lanes = fc.subarray([...LANES], { minLength: 1 });
const machines = fc
  .record({
    packages: fc.constantFrom(1, 2),
    coresPerPackage: fc.constantFrom(1, 2, 4),
    threadsPerCore: fc.constantFrom(1, 2),
    nodesPerPackage: fc.constant(1),
    memoryGib: fc.constant(8),
  })
  .chain((machine) => {
    const cpus = Array.from({ length: machine.packages * machine.coresPerPackage * machine.threadsPerCore }, (_, cpu) => cpu);
    const some = fc.subarray(cpus, { minLength: Math.ceil(cpus.length / 2) }).map(formatCpuList);
    return fc.record({ allowed: some, cgroup: fc.option(some, { nil: undefined }) }).map((limits) => ({ ...machine, ...limits }));
  });

const models = fc
  .array(fc.record({ tags: fc.subarray(['x', 'y']), lanes: fc.option(lanes, { freq: 1 }) }), { maxLength: 3 })
  .map((all) => all.map((settings, index): PlaceableModel => ({ ...settings, ...modelNamed(WORDS[index] as string) })));

/** Each CPU up to 15 falls to one of three partitions or to none; rarely one more is added, to where it may not be. */
const partitions = fc
  .record({
    owners: fc.array(fc.integer({ min: -1, max: 2 }), { minLength: 16, maxLength: 16 }),
    stray: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 15 }) }),
    settings: fc.array(
      fc.record({
        class: fc.constantFrom<PartitionConfig['class']>('reserved', 'burstable'),
        lanes: fc.option(lanes, { nil: undefined, freq: 1 }),
        models: fc.option(fc.subarray([...WORDS, 'x', 'y'], { minLength: 1 }), { nil: undefined, freq: 1 }),
        batchBesideReserved: fc.boolean(),
        memory: fc.option(
          fc.integer({ min: 1, max: 4 }).map((gib) => gib * 2 ** 30),
          { nil: undefined },
        ),
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ owners, stray, settings }) => ({
    stray,
    settings: settings.map((setting, id) => ({
      ...setting,
      id: `p${id}`,
      wanted: owners.flatMap((owner, cpu) => (owner === id ? [cpu] : [])),
    })),
  }));

function modelNamed(name: string): Pick<PlaceableModel, 'name' | 'version' | 'plans'> {
  const loaded = { name, version: '1', executorThreads: 1 } as WorkerModelPlan;
  return { name, version: '1', plans: { realtime: loaded, batch: loaded } };
}

interface Wanted {
  stray: number | null;
  settings: (Omit<PartitionConfig, 'cpus'> & { wanted: number[] })[];
}

/** Only CPUs that may be used, and the stray one. */
function configure({ stray, settings }: Wanted, { effective }: Topology): PartitionConfig[] {
  return settings.flatMap(({ wanted, ...setting }, index) => {
    const cpus = wanted.filter((cpu) => effective.includes(cpu));
    if (index === 0 && stray !== null && !cpus.includes(stray)) cpus.push(stray);
    return cpus.length === 0 ? [] : [{ ...setting, cpus }];
  });
}

function planOrRefusal(topology: Topology, configured: PartitionConfig[], placed: PlaceableModel[]): PlacementPlan | null {
  try {
    return planPlacement({
      topology,
      gpus: gpusOf('no-tool'),
      config: { ...file, partitions: configured },
      models: placed,
      socketPathOf: (id) => id,
    });
  } catch (error) {
    if (error instanceof PlacementError) return null;
    throw error;
  }
}

function checkCpus({ placement, systemCpus }: PlacementPlan, topology: Topology): void {
  const owned = placement.partitions.flatMap(({ cpus }) => cpus);
  expect([...owned, ...systemCpus].sort((a, b) => a - b)).toEqual(topology.effective);
  for (const { partitionId, cpus } of placement.workers) {
    const partition = placement.partitions.find(({ id }) => id === partitionId);
    expect(cpus.length).toBeGreaterThan(0);
    expect(partition?.cpus).toEqual(expect.arrayContaining(cpus));
  }
}

function checkReserved({ placement }: PlacementPlan, configured: PartitionConfig[], { places }: Topology): void {
  const reserved = placement.partitions.filter((partition) => partition.class === 'reserved');
  for (const { partitionId, cpus } of placement.workers.filter(({ lane }) => lane === 'batch')) {
    expect(reserved.map(({ id }) => id)).not.toContain(partitionId);
    if (configured.find(({ id }) => id === partitionId)?.batchBesideReserved === true) continue;
    const cores = places.filter(({ cpu }) => cpus.includes(cpu)).flatMap(({ siblings }) => siblings);
    expect(reserved.flatMap((partition) => partition.cpus).filter((cpu) => cores.includes(cpu))).toEqual([]);
  }
}

function checkReach({ placement }: PlacementPlan, placed: PlaceableModel[]): void {
  const served = LANES.filter((lane) => placement.workers.some((worker) => worker.lane === lane));
  for (const { name, lanes: own } of placed) {
    const reached = LANES.filter((lane) =>
      placement.workers.some((worker) => worker.lane === lane && worker.models.some((model) => model.name === name)),
    );
    expect(reached).toEqual(LANES.filter((lane) => (own ?? served).includes(lane)));
  }
}

describe('any accepted plan', () => {
  it('has disjoint CPUs within the effective set, no batch work beside reserved cores, and every model in reach', () => {
    let accepted = 0;
    let withPartitions = 0;
    fc.assert(
      fc.property(machines, partitions, models, (machine, wanted, placed) => {
        const { allowed, cgroup = allowed } = machine;
        fc.pre(parseCpuList(allowed).some((cpu) => parseCpuList(cgroup).includes(cpu)));
        const topology = topologyOfMachine(machine);
        const configured = configure(wanted, topology);
        const plan = planOrRefusal(topology, configured, placed);
        if (plan === null) return;
        accepted++;
        if (configured.length > 1) withPartitions++;
        checkCpus(plan, topology);
        checkReserved(plan, configured, topology);
        checkReach(plan, placed);
      }),
      { seed: SEED, numRuns: RUNS },
    );
    // The property says nothing when most is refused.
    expect(accepted).toBeGreaterThan(RUNS / 4);
    expect(withPartitions).toBeGreaterThan(RUNS / 10);
  });
});
