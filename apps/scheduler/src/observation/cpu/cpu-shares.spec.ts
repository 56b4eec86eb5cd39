import type { CpuReading, ThreadTime } from './cpu-reading';
import { parseCpuTimes } from './cpu-reading';
import { CpuSharesWindow } from './cpu-shares';

const thread = (id: string, work: ThreadTime['work'], runMs: number): ThreadTime => ({ thread: id, cpu: 0, work, runMs });
const reading = (totalMs: number, idleMs: number, threads: ThreadTime[] = []): CpuReading => {
  return { cpus: new Map([[0, { totalMs, idleMs }]]), threads };
};

describe('/proc/stat', () => {
  it('has the time of each CPU, waits for disks as idle, and guests once', () => {
    const stat = 'cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 10 20 30 400 50 6 7 8 9 9\ncpu11 1 0 0 1 0 0 0 0 0 0\nintr 1 2\ncpu12 1 1 1 1 1 1 1 1\n';
    expect(parseCpuTimes(stat)).toEqual(
      new Map([
        [0, { totalMs: 5310, idleMs: 4500 }],
        [11, { totalMs: 20, idleMs: 10 }],
      ]),
    );
    expect(parseCpuTimes('cpu  1 2 3 4\nintr 1\n')).toEqual(new Map());
  });
});

describe('shares of a CPU', () => {
  it('are unknown at the first reading, and for other CPUs', () => {
    const shares = new CpuSharesWindow();
    shares.add(reading(1000, 500), 0);
    expect(shares.of(0)).toBeNull();
    shares.add(reading(2000, 1000), 1000);
    expect(shares.of(1)).toBeNull();
  });

  it.each([
    ['all parts', 200, 300, 400, { live: 0.2, batch: 0.3, system: 0.1, idle: 0.4 }],
    ['an idle CPU', 0, 0, 1000, { live: 0, batch: 0, system: 0, idle: 1 }],
    ['executors that did more than the ticks say', 500, 400, 300, { live: 0.5, batch: 0.4, system: 0, idle: 0.1 }],
    ['executors that did more than there was', 900, 900, 0, { live: 0.5, batch: 0.5, system: 0, idle: 0 }],
  ])('add up to 1: %s', (_name, live, batch, idle, expected) => {
    const shares = new CpuSharesWindow();
    shares.add(reading(10_000, 5_000, [thread('a', 'realtime', 70), thread('b', 'batch', 80)]), 0);
    shares.add(reading(11_000, 5_000 + idle, [thread('a', 'realtime', 70 + live), thread('b', 'batch', 80 + batch)]), 1000);
    expect(shares.of(0)).toEqual(expected);
  });

  it('count a new executor from its start, and an old one that was not seen before not at all', () => {
    const shares = new CpuSharesWindow();
    shares.add(reading(1000, 1000, [thread('1/2', 'batch', 900)]), 0);
    shares.add(reading(2000, 1500, [thread('7/8', 'batch', 400), thread('9/9', 'realtime', 50_000)]), 1000);
    expect(shares.of(0)).toEqual({ live: 0, batch: 0.4, system: 0.1, idle: 0.5 });
  });

  it('have what keeps the CPU awake as idle', () => {
    const shares = new CpuSharesWindow();
    shares.add(reading(1000, 900, [thread('a', 'realtime', 0), thread('b', 'awake', 0)]), 0);
    shares.add(reading(2000, 1000, [thread('a', 'realtime', 200), thread('b', 'awake', 600)]), 1000);
    expect(shares.of(0)).toEqual({ live: 0.2, batch: 0, system: 0.1, idle: 0.7 });
  });

  it('are of the last minute', () => {
    const shares = new CpuSharesWindow();
    shares.add(reading(0, 0, [thread('a', 'batch', 0)]), 0);
    shares.add(reading(50_000, 0, [thread('a', 'batch', 50_000)]), 50_000);
    shares.add(reading(100_000, 50_000, [thread('a', 'batch', 50_000)]), 100_000);
    expect(shares.of(0)).toEqual({ live: 0, batch: 0, system: 0, idle: 1 });
  });
});
