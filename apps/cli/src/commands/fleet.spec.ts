import type { FleetView, NodeHeartbeat } from '@app/contracts';
import { fleetText } from './fleet';

const NODE: NodeHeartbeat = {
  id: 'node-1',
  bootId: 'b',
  address: '10.0.0.1',
  ip: '10.0.0.1',
  httpPort: 8080,
  grpcPort: 8081,
  tls: false,
  version: '0.1.0',
  formatVersions: {},
  state: 'ready',
  reason: null,
  stateSinceMs: 0,
  models: [
    { name: 'm', version: '1', state: 'ready' },
    { name: 'n', version: '1', state: 'loading' },
  ],
  liveBacklogMs: 3.25,
  utilization: 0.413,
  partitions: [{ id: 'p', class: 'burstable', cpus: 8 }],
  batch: { rowsPerSecond: 811.6, chunksRunning: 4, paused: null },
  warnings: [],
};
const VIEW: FleetView = { fleet: 'default', self: 'node-1', ageMs: 1, problem: null, nodes: [NODE], lost: [], unreadable: 0 };

describe('interleave fleet', () => {
  it('shows each node with its load, and who was lost', () => {
    const lost = { id: 'node-2', lastSeenMs: 60_000, last: NODE };
    expect(fleetText({ ...VIEW, lost: [lost, { id: 'node-3', lastSeenMs: 0, last: null }] }, 90_000).split('\n')).toEqual([
      'fleet default',
      'NODE    STATE  FOR   ADDRESS        VERSION  CPUS         MODELS  BACKLOG  BUSY  BATCH',
      'node-1  ready  90 s  10.0.0.1:8080  0.1.0    8 burstable  1 of 2  3.3 ms   41 %  812 rows/s',
      'node-2  lost   30 s  10.0.0.1:8080  0.1.0    8 burstable',
      'node-3  lost   90 s',
    ]);
  });

  it('says what is wrong, in words that cannot steer a terminal', () => {
    const node = { ...NODE, warnings: ['first\u001b[2J'], reason: 'shutting down' };
    const text = fleetText({ ...VIEW, nodes: [node], problem: 'Redis: away', unreadable: 2 }, 0);
    expect(text.split('\n').slice(-4)).toEqual([
      'The list is old: Redis: away',
      '2 nodes of another release are not shown',
      'node-1: shutting down',
      'node-1: first?[2J',
    ]);
  });
});
