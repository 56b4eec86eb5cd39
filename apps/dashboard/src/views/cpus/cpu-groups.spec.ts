import type { CpuView } from '@app/contracts';
import { groupsOf, meanShares } from './cpu-groups';

const cpu = (id: number, at: Partial<CpuView>): CpuView => ({
  cpu: id,
  socket: 0,
  numaNode: 0,
  core: id,
  thread: 0,
  partition: null,
  class: null,
  shares: null,
  workers: [],
  ...at,
});

describe('CPUs on the map', () => {
  it('are by socket, memory node, core and thread', () => {
    const cpus = [cpu(3, { socket: 1, numaNode: 1 }), cpu(2, { core: 0, thread: 1 }), cpu(1, {}), cpu(0, {})];
    expect(groupsOf(cpus).map(({ socket, cores }) => [socket, cores.map((threads) => threads.map((each) => each.cpu))])).toEqual([
      [0, [[0, 2], [1]]],
      [1, [[3]]],
    ]);
  });

  it('have a mean of those that are known', () => {
    const shares = { live: 0.5, batch: 0.1, system: 0, idle: 0.4 };
    expect(meanShares([cpu(0, { shares }), cpu(1, {})])).toEqual(shares);
    expect(meanShares([cpu(0, {})])).toBeNull();
  });
});
