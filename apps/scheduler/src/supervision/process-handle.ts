import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { childEnvironment } from '@app/config';
import { HeartbeatFile } from './heartbeat-file';
import { identityOf, isRunning, type ProcessIdentity } from './proc-fs';
import type { ProcessSpec } from './process-spec';

export interface ProcessExit {
  /** In words. */
  reason: string;
  /** It ended by what it did itself, as far as that is known. */
  isCrash: boolean;
  /** It was killed, and not by this scheduler (the kernel kills when memory is short), or it ended at its own limit. */
  mayBeOutOfMemory: boolean;
}

/** One run of a program, from start to exit. */
export interface ProcessHandle {
  /** Null when it could not be started at all; `exited` says why. */
  readonly identity: ProcessIdentity | null;
  /** Null when the process has none; whoever watches it closes it. */
  readonly heartbeat: HeartbeatFile | null;
  /** Resolves once; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Does nothing when the process is gone. */
  signal(signal: NodeJS.Signals): void;
}

const ADOPTED_POLL_MS = 200;
const LEFTOVER_EXIT_MS = 10_000;

/** Starts a process. Its output goes where ours goes, without passing through this process, so that it can outlive us. */
export function launchProcess(spec: ProcessSpec): ProcessHandle {
  let command: string;
  let heartbeat: HeartbeatFile | null = null;
  try {
    command = spec.command();
    if (spec.heartbeatSlots !== null) heartbeat = HeartbeatFile.create(spec.heartbeatSlots, tmpdir());
  } catch (error) {
    return failedLaunch((error as Error).message);
  }
  const inherited = [...(heartbeat === null ? [] : [heartbeat.fd]), ...spec.inheritedFds];
  let child: ChildProcess;
  try {
    child = spawn(command, spec.args, {
      stdio: ['ignore', 'inherit', 'inherit', ...inherited],
      env: childEnvironment(spec.inherits, spec.environment),
      detached: spec.ownSession,
    });
  } catch (error) {
    heartbeat?.close();
    return failedLaunch(`could not be started: ${(error as Error).message}`);
  }
  let wasSignalled = false;
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('error', (error) => resolve(noCrash(`could not be started: ${error.message}`)));
    child.once('exit', (code, signal) =>
      resolve({
        reason: signal === null ? `exit code ${code}` : `signal ${signal}`,
        isCrash: isCrash(code, signal),
        mayBeOutOfMemory: code === MEMORY_EXIT_CODE || (signal === 'SIGKILL' && !wasSignalled),
      }),
    );
  });
  return {
    identity: child.pid === undefined ? null : identityOf(child.pid),
    heartbeat,
    exited,
    signal: (signal) => {
      wasSignalled = true;
      child.kill(signal);
    },
  };
}

/** Takes over a process that an earlier scheduler started; it is not our child, so its end is found by polling. */
export function adoptProcess(identity: ProcessIdentity, heartbeatSlots: number | null): ProcessHandle {
  return {
    identity,
    heartbeat: heartbeatSlots === null ? null : HeartbeatFile.ofProcess(identity.pid, heartbeatSlots),
    exited: new Promise((resolve) => {
      const timer = setInterval(() => {
        if (isRunning(identity)) return;
        clearInterval(timer);
        resolve(noCrash('ended (started by an earlier scheduler, so its exit code is not known)'));
      }, ADOPTED_POLL_MS);
    }),
    signal: (signal) => {
      if (isRunning(identity)) kill(identity.pid, signal);
    },
  };
}

/** Ends a process of an earlier scheduler: kindly first. */
export async function endProcess(identity: ProcessIdentity): Promise<void> {
  const handle = adoptProcess(identity, null);
  handle.signal('SIGTERM');
  const timer = setTimeout(() => handle.signal('SIGKILL'), LEFTOVER_EXIT_MS);
  await handle.exited;
  clearTimeout(timer);
}

/** How programs die of what they do themselves. */
const CRASH_SIGNALS: ReadonlySet<NodeJS.Signals> = new Set<NodeJS.Signals>([
  'SIGSEGV',
  'SIGBUS',
  'SIGILL',
  'SIGFPE',
  'SIGABRT',
  'SIGSYS',
  'SIGTRAP',
]);

/** Exit code of a worker above its memory limit (libs/native/src/isolation/memory_limit.h). */
const MEMORY_EXIT_CODE = 12;

/** A worker's own exits: drained, could not start. */
const OWN_EXIT_CODES: ReadonlySet<number | null> = new Set([0, 1]);

/** Whether what ran is to blame: a SIGKILL comes from outside, and an exit of the worker's own says nothing about one model. */
const isCrash = (code: number | null, signal: NodeJS.Signals | null): boolean =>
  signal === null ? !OWN_EXIT_CODES.has(code) : CRASH_SIGNALS.has(signal);

const noCrash = (reason: string): ProcessExit => ({ reason, isCrash: false, mayBeOutOfMemory: false });

function failedLaunch(reason: string): ProcessHandle {
  return { identity: null, heartbeat: null, exited: Promise.resolve(noCrash(reason)), signal: () => undefined };
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended just now
  }
}
