import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeEvent, NodeView, SchedulerProcessStatus, WorkerProcessStatus } from '@app/contracts';
import { createLogger } from '@app/telemetry';
import { EventLog } from './events/event-log';
import { LineFile } from './history/line-file';
import { NodeHistoryStore } from './history/node-history';
import { NodeObserver, SAMPLE_MS } from './node-observer';
import { MetricsView } from './sample/metrics-view';
import { NodeCounts } from './sample/node-counts';
import type { Sample } from './sample/sample';
import type { Sampler } from './sample/sampler';
import { ObservationStream } from './stream/observation-stream';

class Shown extends ObservationStream {
  readonly told: string[][] = [];

  override show(_view: NodeView, events: readonly NodeEvent[]): void {
    this.told.push(events.map(({ text }) => text));
  }
}

const sample = (restarts: number, worker: WorkerProcessStatus | null): Sample => {
  const processes = [{ id: 'w', pid: 1, state: 'ready', restarts, reason: 'exit code 1' }];
  const placement = { workers: [{ id: 'w', lane: 'batch', cpus: [], models: [], gpu: null }], partitions: [] };
  const scheduler = { processes, workers: [], placement, preemption: {}, laneControl: null, versions: [], releases: [], events: [] };
  return {
    ...{ atMs: 1, steadyMs: 1, scheduler: scheduler as unknown as SchedulerProcessStatus, workers: new Map([['w', worker]]) },
    ...{ silentWorkers: new Set(), runner: null, api: null, fleet: null, metrics: new MetricsView([]), cpu: null, disk: null },
  };
};

it('shows what happened with the next view, where one could not be made', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
  const dir = mkdtempSync(join(tmpdir(), 'il-observer-'));
  const log = createLogger('test', 'silent');
  const file = (name: string) => new LineFile(join(dir, name), 100_000, log);
  const stream = new Shown(() => ({ stepMs: 1, series: [], points: [] }));
  const samples = [sample(0, null), sample(1, {} as WorkerProcessStatus), sample(1, null)];
  const observer = new NodeObserver({
    identity: { id: 'n', version: '1', modelsDir: dir, places: [], startedMs: 0 },
    sampler: { take: () => Promise.resolve(samples.shift() ?? sample(1, null)) } as unknown as Sampler,
    counts: new NodeCounts(),
    events: new EventLog(file('events')),
    history: new NodeHistoryStore(file('history'), SAMPLE_MS, 0),
    ...{ stream, log, beginning: [] },
  });
  observer.start();
  await jest.advanceTimersByTimeAsync(2 * SAMPLE_MS + 1);
  await observer.stop();
  jest.useRealTimers();
  rmSync(dir, { recursive: true });
  expect(stream.told).toEqual([[], ['w was restarted: it ended by itself (exit code 1).']]);
});
