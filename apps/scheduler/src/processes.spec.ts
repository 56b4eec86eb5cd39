import { loadConfig } from '@app/config';
import type { WorkerModelPlan } from '@app/contracts';
import { planPlacement } from './placement/placement';
import { MACHINES, topologyOfMachine } from './placement/testing/machines';
import { processSpecs } from './processes';

describe('the processes of a node', () => {
  it('are kept when only the models of a worker change', () => {
    const config = loadConfig({ DATA_DIR: '/tmp/il-processes', PROCESSES: 'worker' });
    const gpus = { devices: [], driverVersion: null, problem: null, mpsRuns: false };
    const topology = topologyOfMachine(MACHINES.twoCpus);
    const { placement } = planPlacement({ topology, gpus, config, models: [], socketPathOf: (id) => `/run/${id}` });
    const fingerprints = (): string[] => processSpecs(config, placement, null).map(({ fingerprint }) => fingerprint);
    const before = fingerprints();
    for (const worker of placement.workers) Object.assign(worker, { models: [{ name: 'm' } as WorkerModelPlan], gpuRefusal: 'no GPU' });
    expect(fingerprints()).toEqual(before);
    for (const worker of placement.workers) worker.memoryBytes = 1;
    expect(fingerprints()).not.toEqual(before);
  });
});
