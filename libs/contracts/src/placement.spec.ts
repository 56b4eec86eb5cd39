import { workersBeside, type WorkerPlan } from './placement';

const worker = (partitionId: string, lane: WorkerPlan['lane']): WorkerPlan => ({
  id: `${partitionId}-${lane}`,
  partitionId,
  lane,
  cpus: [0],
  socketPath: '',
  models: [],
  queueItemsMax: 1,
  channelBytes: 1,
  awakeMs: 0,
  processCpus: [0],
  memoryBytes: null,
  gpu: null,
  gpuRefusal: null,
});

describe('workers beside each other', () => {
  const workers = [
    worker('front', 'realtime'),
    worker('a', 'realtime'),
    worker('a', 'batch'),
    worker('b', 'realtime'),
    worker('b', 'batch'),
    worker('night', 'batch'),
  ];
  const beside = (id: string): string[] =>
    workersBeside(workers.find((other) => other.id === id) ?? worker('none', 'batch'), workers).map((other) => other.id);

  it('are those of the same partition, and all batch workers beside a live one without a batch lane', () => {
    expect(beside('a-realtime')).toEqual(['a-batch']);
    expect(beside('front-realtime')).toEqual(['a-batch', 'b-batch', 'night-batch']);
  });

  it('are the same from either side', () => {
    expect(beside('a-batch')).toEqual(['front-realtime', 'a-realtime']);
    expect(beside('night-batch')).toEqual(['front-realtime']);
    for (const one of workers) for (const id of beside(one.id)) expect(beside(id)).toContain(one.id);
  });
});
