import { spawn } from 'node:child_process';
import { childEnvironment } from '@app/config';
import { identityOf, isRunning, type ProcessIdentity } from './proc-fs';
import type { ProcessSpec } from './process-spec';

/** One run of a program, from start to exit. */
export interface ProcessHandle {
  /** Null when it could not be started at all; `exited` says why. */
  readonly identity: ProcessIdentity | null;
  /** Resolves once, with the reason in words; never rejects. */
  readonly exited: Promise<string>;
  /** Does nothing when the process is gone. */
  signal(signal: NodeJS.Signals): void;
}

const ADOPTED_POLL_MS = 200;

/** Starts a process. Its output goes where ours goes, without passing through this process, so that it can outlive us. */
export function launchProcess(spec: ProcessSpec): ProcessHandle {
  let command: string;
  try {
    command = spec.command();
  } catch (error) {
    return failedLaunch((error as Error).message);
  }
  const child = spawn(command, spec.args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: childEnvironment(spec.environment),
    detached: spec.ownSession,
  });
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  return {
    identity: child.pid === undefined ? null : identityOf(child.pid),
    exited,
    signal: (signal) => void child.kill(signal),
  };
}

/** Takes over a process that an earlier scheduler started; it is not our child, so its end is found by polling. */
export function adoptProcess(identity: ProcessIdentity): ProcessHandle {
  return {
    identity,
    exited: new Promise((resolve) => {
      const timer = setInterval(() => {
        if (isRunning(identity)) return;
        clearInterval(timer);
        resolve('ended (started by an earlier scheduler, so its exit code is not known)');
      }, ADOPTED_POLL_MS);
    }),
    signal: (signal) => {
      if (isRunning(identity)) kill(identity.pid, signal);
    },
  };
}

function failedLaunch(reason: string): ProcessHandle {
  return { identity: null, exited: Promise.resolve(reason), signal: () => undefined };
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended just now
  }
}
