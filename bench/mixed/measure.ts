import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchAnswer, BatchLoad } from './batch-load';
import type { BenchNode } from './bench-node';
import { minus, readCpu, type CpuCounters } from './cpu-usage';
import type { LiveLoad, LiveSample } from './live-load';
import { nowMs } from './rows';

export interface Loads {
  live: LiveLoad | null;
  batch: BatchLoad | null;
  /** CPUs that an endless loop of the idle class keeps awake: one that sleeps takes time to wake up, in a virtual machine most. */
  awakeCpus: number[];
}

export interface Measured {
  seconds: number;
  cpu: CpuCounters;
  /** Sent within the time that was measured. */
  live: LiveSample[];
  /** Answered within it. */
  batchRows: number;
  batchTokens: number;
}

/** Added to the batch load's nice value, as the batch runner's. */
const BATCH_NICE = '15';

/** For the start of the load generators and the last answers. */
const LOOP_SECONDS_SPARE = 60;

/** Runs the loads on the node for `warmMs`, then for `measureMs`, which counts. */
export async function measure(node: BenchNode, loads: Loads, times: { warmMs: number; measureMs: number }, systemCpu: number): Promise<Measured> {
  const loops = loads.awakeCpus.map((cpu) => endlessLoop(cpu, (times.warmMs + times.measureMs) / 1000));
  const live = loads.live === null ? null : await LoadProcess.start<LiveSample>('live-load.js', loads.live, ['taskset', '-c', String(systemCpu)]);
  const batch = loads.batch === null ? null : await LoadProcess.start<BatchAnswer>('batch-load.js', loads.batch, ['nice', '-n', BATCH_NICE, 'taskset', '-c', String(systemCpu)]);
  await sleep(times.warmMs);
  const [beforeMs, before] = [nowMs(), readCpu(node)];
  await sleep(times.measureMs);
  const [afterMs, after] = [nowMs(), readCpu(node)];
  const [samples = [], answers = []] = [await live?.end(), await batch?.end()];
  for (const loop of loops) loop.kill('SIGTERM');
  const isInside = (atMs: number): boolean => atMs >= beforeMs && atMs < afterMs;
  const answered = answers.filter(({ answeredMs }) => isInside(answeredMs));
  return {
    seconds: (afterMs - beforeMs) / 1000,
    cpu: minus(after, before),
    live: samples.filter(({ sentMs }) => isInside(sentMs)),
    batchRows: answered.length,
    batchTokens: answered.reduce((sum, { tokens }) => sum + tokens, 0),
  };
}

/** Of the idle class; ends by itself if nobody ends it. */
function endlessLoop(cpu: number, seconds: number): ChildProcess {
  const loop = ['sh', '-c', 'while :; do :; done'];
  return spawn('chrt', ['--idle', '0', 'taskset', '-c', String(cpu), 'timeout', String(Math.ceil(seconds) + LOOP_SECONDS_SPARE), ...loop], { stdio: 'ignore' });
}

/** A load generator in a process of its own, pinned by the command that it is started with. */
class LoadProcess<Result> {
  private constructor(private readonly child: ChildProcess) {}

  static async start<Result>(script: string, load: object, [command = '', ...args]: string[]): Promise<LoadProcess<Result>> {
    const child = spawn(command, [...args, process.execPath, join(__dirname, script)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' });
    child.send(load);
    await messageOf(child, script);
    return new LoadProcess<Result>(child);
  }

  async end(): Promise<Result[]> {
    this.child.send('end');
    return (await messageOf(this.child, 'load')) as Result[];
  }
}

async function messageOf(child: ChildProcess, name: string): Promise<unknown> {
  // After its last message, which `exit` may overtake.
  const ended = once(child, 'disconnect').then(() => Promise.reject(new Error(`${name} ended before it answered`)));
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
  ended.catch(() => undefined);
  return message;
}
