import type {
  ActiveBatchStatus,
  ApiProcessStatus,
  FleetView,
  NodeHeartbeat,
  RunnerProcessStatus,
  SchedulerProcessStatus,
} from '@app/contracts';
import { CounterHistory, SHARE_WINDOW_MS } from '../sample/counter-window';
import { MetricsView } from '../sample/metrics-view';
import type { Sample } from '../sample/sample';
import { eventsBetween } from './events-between';
import { factsOf, type NodeFactsNow } from './node-facts';

const silent: Sample = {
  atMs: 1,
  steadyMs: 1,
  scheduler: { processes: [], workers: [], placement: {}, laneControl: null, events: [] } as unknown as SchedulerProcessStatus,
  workers: new Map(),
  silentWorkers: new Set(),
  runner: null,
  api: null,
  fleet: null,
  metrics: new MetricsView([]),
  cpu: null,
  disk: null,
};
const api: ApiProcessStatus = {
  id: 'api-1',
  pid: 1,
  url: null,
  grpcAddress: null,
  missing: 'loading: m/1',
  inFlightItems: 0,
  breakers: [],
};
const batch = (id: string, completed: number) => ({ id, total: 100, completed, failed: 0, paused: null }) as unknown as ActiveBatchStatus;
const runner = (...batches: ActiveBatchStatus[]) => ({ batches, ended: [], redisIsReady: true }) as unknown as RunnerProcessStatus;
const fleet = (ageMs: number | null, nodes: string[], lost: string[] = []): FleetView => ({
  fleet: 'f',
  self: 'a',
  ageMs,
  problem: null,
  nodes: nodes.map((id) => ({ id, state: 'ready' }) as NodeHeartbeat),
  lost: lost.map((id) => ({ id, lastSeenMs: 0, last: null })),
  unreadable: 0,
});

/** What is told of looks that follow each other. */
function told(...looks: Partial<Sample>[]): string[] {
  let before: NodeFactsNow | null = null;
  return looks.flatMap((look) => {
    const after = factsOf({ ...silent, ...look }, new CounterHistory().last(SHARE_WINDOW_MS), before);
    const events = eventsBetween(before, after);
    before = after;
    return events.map(({ text }) => text);
  });
}

describe('events of looks at a node', () => {
  it('are none where processes answer for the first time', () => {
    const answers = {
      api,
      runner: runner(batch('b', 90)),
      fleet: fleet(5, ['a', 'b'], ['c']),
      disk: { freeBytes: 1, sizeBytes: 100, hasBatchFiles: true },
    };
    expect(told({}, answers, {}, answers)).toEqual([]);
  });

  it('are none where a new API process does not know the other nodes yet', () => {
    expect(told({ fleet: fleet(5, ['a', 'b']) }, { fleet: fleet(null, ['a']) }, { fleet: fleet(5, ['a', 'b']) })).toEqual([]);
  });

  it('are told of what changes once it is known', () => {
    const looks = [
      { api, runner: runner(), fleet: fleet(5, ['a']) },
      { api: { ...api, missing: null }, runner: runner(batch('b', 0)), fleet: fleet(5, ['a', 'b']) },
    ];
    expect(told(...looks)).toEqual(['The node is ready.', 'Batch b began: 100 rows.', 'Node b joined the fleet.']);
  });
});
