import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { childEnvironment } from '@app/config';
import type { IsolationTool, PreemptionProof } from '@app/contracts';
import { readCpuGroup } from '@app/system';
import type { NativeWakeups } from '../addon';
import { ALONE_P99_MS_MAX, type Delays, delaysOf, judge, notMeasured, P99_MS_MAX, structuralCause } from './verdict';

const LIMIT_MS = 5000;
/** After the live executor's process is ready. Beside programs of ordinary priority a batch executor may get no CPU at all. */
const BATCH_READY_MS_MAX = 500;
/** Time for a killed process to end. One that gets no CPU to end with disturbs nobody either. */
const EXIT_MS_MAX = 100;

export interface ProofOptions {
  /** Where the two executors are. */
  cpu: number;
  /** For tests: starts the batch executor in a session of its own, which voids priorities where autogroups are on. */
  batchInOwnSession?: boolean;
  /** For tests: what node runs as a child. */
  childArgs?: string[];
}

/**
 * Measures 200 wake-ups of a live executor beside a batch executor that uses all of its CPU, in two processes that are
 * started as workers are: same session, same cgroup. Takes about 0.4 s where preemption works; up to three attempts, and one
 * without the batch executor, where it is not clear why it does not. Never rejects: what cannot be measured is `unclear`.
 */
export async function provePreemption(options: ProofOptions): Promise<PreemptionProof> {
  const children: ChildProcess[] = [];
  const timer = setTimeout(() => endAll(children), LIMIT_MS);
  try {
    return await measure(options, children);
  } catch (error) {
    return notMeasured(options.cpu, error as Error);
  } finally {
    clearTimeout(timer);
    endAll(children);
  }
}

async function measure(options: ProofOptions, children: ChildProcess[]): Promise<PreemptionProof> {
  const { cpu } = options;
  const batch = start('spin', options, children);
  const live = start('measure', options, children);
  const spinning = nextMessage<IsolationTool[]>(batch);
  spinning.catch(() => undefined); // awaited below; until then nobody listens
  await nextMessage<null>(live);
  const batchTools = await inTime(spinning, cpu);
  const cause = structuralCause(readCpuGroup(live.pid ?? 0), readCpuGroup(batch.pid ?? 0), batchTools);
  const attempts: Delays[] = [];
  const areLate = (): boolean => attempts.every(({ p99Ms }) => p99Ms > P99_MS_MAX);
  // Nothing is left to find out where the cause can be read.
  const attemptsMax = cause === null ? 2 : 1;
  while (attempts.length < attemptsMax && areLate()) attempts.push(await measureOnce(live));
  if (cause !== null || !areLate()) return judge({ cpu, attempts, alone: null, cause });

  await end(batch);
  const alone = await measureOnce(live);
  if (alone.p99Ms <= ALONE_P99_MS_MAX) {
    // Noise of other programs may have ended just now, so the batch executor comes back once more.
    await inTime(nextMessage<IsolationTool[]>(start('spin', options, children)), cpu);
    attempts.push(await measureOnce(live));
  }
  return judge({ cpu, attempts, alone, cause });
}

/** The batch executor's first word. Throws when it does not come: nothing would be measured then. */
async function inTime(spinning: Promise<IsolationTool[]>, cpu: number): Promise<IsolationTool[]> {
  const tools = await within(BATCH_READY_MS_MAX, spinning);
  if (tools === null) throw new Error(`a batch executor got no time on CPU ${cpu} in ${BATCH_READY_MS_MAX} ms; other programs use it`);
  return tools;
}

async function measureOnce(live: ChildProcess): Promise<Delays> {
  const message = nextMessage<NativeWakeups>(live);
  live.send('measure');
  const { delaysNs, tools } = await message;
  const pinning = tools.find(({ tool }) => tool === 'cpu-affinity');
  if (pinning?.state !== 'active') throw new Error(pinning?.reason ?? 'the executor could not be pinned');
  return delaysOf(delaysNs);
}

function start(
  role: 'spin' | 'measure',
  { cpu, batchInOwnSession = false, childArgs = [join(__dirname, 'child.js')] }: ProofOptions,
  children: ChildProcess[],
): ChildProcess {
  const child = spawn(process.execPath, [...childArgs, role, String(cpu)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: childEnvironment({ settings: false, secrets: false }, {}),
    detached: role === 'spin' && batchInOwnSession,
  });
  children.push(child);
  return child;
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as T));
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`a process of the measurement ended (${signal ?? `exit code ${code}`})`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await within(EXIT_MS_MAX, exited);
}

/** Null when it takes longer. */
async function within<T>(limitMs: number, promise: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), limitMs)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function endAll(children: ChildProcess[]): void {
  for (const child of children) child.kill('SIGKILL');
}
