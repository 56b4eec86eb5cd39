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
  runRows: number;
  batchTokens: number;
}

/** Added to the batch load's nice value, as the batch runner's. */
const BATCH_NICE = '15';

/** For the start of the load generators and the last answers. */
const LOOP_SECONDS_SPARE = 60;

/** Runs the loads on the node for `warmMs`, then for `measureMs`, which counts. None is left behind, whatever happens. */
export async function measure(
  node: BenchNode,
  loads: Loads,
  times: { warmMs: number; measureMs: number },
  systemCpu: number,
): Promise<Measured> {
  const started: ChildProcess[] = [];
  try {
    return await measureWith(started, { node, loads, systemCpu, ...times });
  } finally {
    for (const child of started) child.kill('SIGTERM');
  }
}

interface Measurement {
  node: BenchNode;
  loads: Loads;
  systemCpu: number;
  warmMs: number;
  measureMs: number;
}

async function measureWith(started: ChildProcess[], { node, loads, systemCpu, warmMs, measureMs }: Measurement): Promise<Measured> {
  for (const cpu of loads.awakeCpus) started.push(endlessLoop(cpu, (warmMs + measureMs) / 1000));
  const pinned = ['taskset', '-c', String(systemCpu)];
  const live = loads.live === null ? null : await startLoad<LiveSample>(started, 'live-load.js', loads.live, pinned);
  const batch =
    loads.batch === null
      ? null
      : await startLoad<BatchAnswer>(started, 'batch-load.js', loads.batch, ['nice', '-n', BATCH_NICE, ...pinned]);
  await sleep(warmMs);
  const [beforeMs, before] = [nowMs(), readCpu(node)];
  await sleep(measureMs);
  const [afterMs, after] = [nowMs(), readCpu(node)];
  const [samples = [], answers = []] = [await live?.end(), await batch?.end()];
  const isInside = (atMs: number): boolean => atMs >= beforeMs && atMs < afterMs;
  const answered = answers.filter(({ answeredMs }) => isInside(answeredMs));
  return {
    seconds: (afterMs - beforeMs) / 1000,
    cpu: minus(after, before),
    live: samples.filter(({ sentMs }) => isInside(sentMs)),
    runRows: answered.length,
    batchTokens: answered.reduce((sum, { tokens }) => sum + tokens, 0),
  };
}

/** A loop of the idle class; ends by itself if nobody ends it. */
function endlessLoop(cpu: number, seconds: number): ChildProcess {
  const loop = ['sh', '-c', 'while :; do :; done'];
  return spawn('chrt', ['--idle', '0', 'taskset', '-c', String(cpu), 'timeout', String(Math.ceil(seconds) + LOOP_SECONDS_SPARE), ...loop], {
    stdio: 'ignore',
  });
}

/** A load generator in a process of its own, pinned by the command that it is started with. */
async function startLoad<Result>(
  started: ChildProcess[],
  script: string,
  load: object,
  [command = '', ...args]: string[],
): Promise<{ end(): Promise<Result[]> }> {
  const child = spawn(command, [...args, process.execPath, join(__dirname, script)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  started.push(child);
  child.send(load);
  await messageOf(child, script);
  return {
    end: async () => {
      child.send('end');
      return (await messageOf(child, script)) as Result[];
    },
  };
}

async function messageOf(child: ChildProcess, name: string): Promise<unknown> {
  // After its last message, which `exit` may overtake.
  const ended = once(child, 'disconnect').then(() => Promise.reject(new Error(`${name} ended before it answered`)));
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
  ended.catch(() => undefined);
  return message;
}
