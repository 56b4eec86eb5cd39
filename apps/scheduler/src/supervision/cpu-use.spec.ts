import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { CpuReader } from '../observation/cpu/cpu-reading';
import { readCpuUse } from './cpu-use';

const BUSY_MS = 20;

describe('CPU time of threads', () => {
  const children: ChildProcess[] = [];
  afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')));

  /** The id of a process that computes without end, whose one thread has this name. */
  const busyThread = async (name: string): Promise<number> => {
    const child = spawn('sh', ['-c', `printf ${name} > /proc/self/comm; while :; do :; done`]);
    children.push(child);
    const pid = child.pid as number;
    const isBusy = (): boolean =>
      readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name && (readCpuUse(pid, 'main')?.runMs ?? 0) >= BUSY_MS;
    while (!isBusy()) await new Promise((resolve) => setTimeout(resolve, 5));
    return pid;
  };

  it('is that of all threads but those that keep CPUs awake', async () => {
    expect(readCpuUse(await busyThread('awake-0'), 'all')).toEqual({ runMs: 0, waitMs: 0, isRunnable: false });
    const use = readCpuUse(await busyThread('executor-0'), 'all');
    expect([use?.isRunnable, (use?.runMs ?? 0) >= BUSY_MS]).toEqual([true, true]);
  });

  it.each([
    ['executor-1', 1, 'batch'],
    ['helper-12', 12, 'batch'],
    ['awake-0', 0, 'awake'],
  ])('of %s is work on CPU %d: %s', async (name, cpu, work) => {
    const pid = await busyThread(name);
    const reading = new CpuReader().read([{ pid, lane: 'batch' }]);
    expect(reading?.threads).toEqual([{ thread: `${pid}/${pid}`, cpu, work, runMs: expect.any(Number) as number }]);
  });
});
