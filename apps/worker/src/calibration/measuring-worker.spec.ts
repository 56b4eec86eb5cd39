import type { Lane, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { measuresCosts } from './measuring-worker';

const worker = (lane: Lane, ...versions: string[]): WorkerPlan => ({
  id: `p-${lane}`,
  partitionId: 'p',
  lane,
  cpus: [0],
  processCpus: [0],
  memoryBytes: null,
  socketPath: '',
  queueItemsMax: 1,
  channelBytes: 0,
  awakeMs: 0,
  gpu: null,
  gpuRefusal: null,
  models: versions.map((version) => ({ name: 'encoder', version, executorThreads: 1 }) as WorkerModelPlan),
});

describe('who measures the costs of a model', () => {
  const realtime = worker('realtime', '1', '2');
  const batch = worker('batch', '1');
  const encoder = (version: string, executorThreads = 1) => ({ name: 'encoder', version, executorThreads });

  it.each<[string, WorkerPlan, WorkerPlan[], string, boolean]>([
    ['a batch worker', batch, [realtime, batch], '1', true],
    ['no real-time worker where a batch worker has the model', realtime, [realtime, batch], '1', false],
    ['a real-time worker where batch workers have other versions only', realtime, [realtime, batch], '2', true],
    ['a real-time worker where there is no batch worker', realtime, [realtime], '1', true],
  ])('%s', (_name, own, workers, version, measures) => {
    expect(measuresCosts(own, { workers }, encoder(version))).toBe(measures);
  });

  it('a real-time worker whose runs have more threads than those of the batch worker', () => {
    expect(measuresCosts(realtime, { workers: [realtime, batch] }, encoder('1', 2))).toBe(true);
  });
});
