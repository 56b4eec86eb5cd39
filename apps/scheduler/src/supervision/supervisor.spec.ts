import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import type { ProcessKind } from '@app/config';
import type { ProcessState } from '@app/contracts';
import { DataDirLockedError, lockDataDir } from './data-dir-lock';
import { PidFiles } from './pid-files';
import { statusProbe } from './probes';
import { identityOf, isRunning, sessionOf } from './proc-fs';
import type { ProcessSpec, SupervisionTimings } from './process-spec';
import type { SupervisedProcess } from './supervised-process';
import type { Culprit } from './worker-death';
import { Supervisor } from './supervisor';

/** Real processes: node scripts that answer on a status socket and, when told, misbehave. */
const timings: SupervisionTimings = {
  startingProbeIntervalMs: 10,
  probeIntervalMs: 20,
  probeTimeoutMs: 200,
  failedProbesMax: 3,
  busyMsMax: 60_000,
  failedStartingProbesMax: 100_000,
  heartbeatLookMs: 10,
  missedBeatsMax: 3,
  missedBeatsStarvedMax: 100_000,
  backoffMinMs: 10,
  backoffMaxMs: 100,
  healthyMs: 30_000,
};
const answering = (socketPath: string) =>
  `const fs = require('fs'); fs.rmSync('${socketPath}', { force: true });
   require('http').createServer((request, response) => response.end('{}')).listen('${socketPath}');`;

let dir: string;
let supervisors: Supervisor[];
let restarted: string[];
let crashed: string[];
let culprits: { id: string; culprit: Culprit; reason: string }[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'supervision-'));
  supervisors = [];
  restarted = [];
  culprits = [];
  crashed = [];
});
afterEach(async () => {
  for (const supervisor of supervisors) {
    const stopped = supervisor.stop(0);
    supervisor.hurry();
    await stopped;
  }
  rmSync(dir, { recursive: true, force: true });
});

function spec(id: string, overrides: Partial<ProcessSpec> & { script?: string; kind?: ProcessKind } = {}): ProcessSpec {
  const socketPath = join(dir, `${id}.status.sock`);
  return {
    id,
    kind: 'worker',
    command: () => process.execPath,
    args: ['-e', answering(socketPath) + (overrides.script ?? '')],
    ownSession: false,
    inheritedFds: [],
    inherits: { settings: false, secrets: false },
    heartbeatSlots: null,
    environment: {},
    fingerprint: 'v1',
    probe: statusProbe(socketPath),
    ...overrides,
  };
}

async function supervise(specs: ProcessSpec[], changes: Partial<SupervisionTimings> = {}): Promise<Supervisor> {
  const supervisor = new Supervisor(specs, new PidFiles(dir), {
    log: pino({ level: 'silent' }),
    timings: { ...timings, ...changes },
    onRestart: ({ id }) => restarted.push(id),
    onCulprit: ({ id }, culprit, reason) => culprits.push({ id, culprit, reason }),
    onCrash: ({ id }) => crashed.push(id),
  });
  supervisors.push(supervisor);
  await supervisor.start();
  return supervisor;
}

function only({ processes }: Supervisor): SupervisedProcess {
  const [process] = processes;
  if (!process) throw new Error('no process');
  return process;
}

async function reaches(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Never 0, which would mean this whole process group. */
function pidOf({ pid, spec: { id } }: SupervisedProcess): number {
  if (pid === null) throw new Error(`${id} does not run`);
  return pid;
}

const inState = (supervised: SupervisedProcess, state: ProcessState) => reaches(() => supervised.state === state);

describe('supervision of real processes', () => {
  it('is ready when the process answers for the first time', async () => {
    const child = only(await supervise([spec('a')]));
    expect(child.state).toBe('starting');
    await inState(child, 'ready');
    expect(identityOf(child.pid ?? 0)).not.toBeNull();
  });

  it.each([false, true])('starts a process in a session of its own only when told to (%s)', async (ownSession) => {
    const { pid } = only(await supervise([spec('a', { ownSession })]));
    expect(sessionOf(pid ?? 0)).toBe(ownSession ? pid : sessionOf(process.pid));
  });

  it('hands a child no NODE_OPTIONS of its own process', async () => {
    process.env['NODE_OPTIONS'] = '--no-warnings';
    try {
      const child = only(await supervise([spec('a')]));
      expect(readFileSync(`/proc/${child.pid}/environ`, 'utf8').includes('NODE_OPTIONS=')).toBe(false);
    } finally {
      delete process.env['NODE_OPTIONS'];
    }
  });

  it('starts a process again that was killed, and counts', async () => {
    const child = only(await supervise([spec('a')]));
    await inState(child, 'ready');
    const firstPid = pidOf(child);
    process.kill(firstPid, 'SIGKILL');
    await reaches(() => child.state === 'ready' && child.pid !== firstPid);
    expect(child.restarts).toBe(1);
    expect(child.reason).toBe('signal SIGKILL');
    expect(restarted).toEqual(['a']);
  });

  it('kills and replaces a process that was ready and hangs', async () => {
    const child = only(await supervise([spec('a')]));
    await inState(child, 'ready');
    const hungPid = pidOf(child);
    process.kill(hungPid, 'SIGSTOP');
    await reaches(() => child.state === 'ready' && child.pid !== hungPid);
    expect(child.reason).toBe('signal SIGKILL');
    expect(identityOf(hungPid)).toBeNull();
  });

  /** Writes words 0 and following of its heartbeat. */
  const writing = (...words: number[]) =>
    `fs.writeSync(3, Buffer.from(new BigUint64Array([${words.map((word) => `${word}n`).join()}]).buffer), 0, ${words.length * 8}, 0);`;
  /** From before it answers: a heart that has not begun may stand still. */
  const beating = `let beats = 0n; const beat = () => fs.writeSync(3, Buffer.from(new BigUint64Array([++beats]).buffer), 0, 8, 0);
    beat(); setInterval(beat, 2);`;
  const neverProbed = { probeIntervalMs: 3_600_000, missedBeatsMax: 200 };

  it('kills and replaces a process whose heart stands still, although nothing has asked it', async () => {
    const child = only(await supervise([spec('a', { heartbeatSlots: 1, script: beating })], neverProbed));
    await inState(child, 'ready');
    const frozenPid = pidOf(child);
    process.kill(frozenPid, 'SIGSTOP');
    await reaches(() => child.state === 'ready' && child.pid !== frozenPid);
    expect(child.reason).toBe('signal SIGKILL');
    expect(culprits).toEqual([]);
  });

  it('watches the heart of a process that an earlier scheduler started', async () => {
    const beats = spec('a', { heartbeatSlots: 1, script: beating });
    const old = only(
      await supervise([beats], { ...neverProbed, heartbeatLookMs: 3_600_000, backoffMinMs: 3_600_000, backoffMaxMs: 3_600_000 }),
    );
    await inState(old, 'ready');
    const frozenPid = pidOf(old);
    const child = only(await supervise([beats], neverProbed));
    process.kill(frozenPid, 'SIGSTOP');
    await reaches(() => child.state === 'ready' && child.pid !== frozenPid);
  });

  it('says what a crashed process died of', async () => {
    const crashing = spec('a', {
      heartbeatSlots: 2,
      args: ['-e', `const fs = require('fs'); ${writing(1, 0, 0, 0, 2 ** 32 + 6, 1)} process.kill(process.pid, 'SIGSEGV');`],
    });
    const child = only(await supervise([crashing], { backoffMinMs: 60_000, backoffMaxMs: 60_000 }));
    await inState(child, 'backoff');
    expect(culprits).toEqual([{ id: 'a', culprit: { revision: 6, phase: 'loading' }, reason: 'signal SIGSEGV' }]);
  });

  const loading = (then: string) =>
    spec('a', { heartbeatSlots: 2, args: ['-e', `const fs = require('fs'); ${writing(1, 0, 0, 0, 2 ** 32 + 6, 1)} ${then}`] });

  it('blames what a process was loading when something else killed it', async () => {
    const child = only(await supervise([loading('process.kill(process.pid, "SIGKILL");')], { backoffMinMs: 60_000, backoffMaxMs: 60_000 }));
    await inState(child, 'backoff');
    expect(culprits).toEqual([{ id: 'a', culprit: { revision: 6, phase: 'loading' }, reason: 'signal SIGKILL' }]);
  });

  it('blames nothing that it was loading when it was killed here', async () => {
    const child = only(
      await supervise([loading('setInterval(() => undefined, 1000);')], { ...neverProbed, backoffMinMs: 60_000, backoffMaxMs: 60_000 }),
    );
    await reaches(() => child.activities.length === 1);
    child.kill();
    await inState(child, 'backoff');
    expect([child.reason, culprits]).toEqual(['signal SIGKILL', []]);
  });

  /** Blocks its event loop for so long after a SIGUSR2, then makes the file. */
  const blocking = (ms: number, path: string) =>
    `process.on('SIGUSR2', () => { const endMs = Date.now() + ${ms}; while (Date.now() < endMs); require('fs').writeFileSync('${path}', ''); });`;

  it('leaves a process alone that does not answer while it uses a CPU, or waits for one', async () => {
    const path = join(dir, 'done');
    const child = only(await supervise([spec('a', { script: blocking(2000, path) })]));
    await inState(child, 'ready');
    const { pid } = child;
    process.kill(pidOf(child), 'SIGUSR2');
    await reaches(() => existsSync(path));
    expect([child.pid, child.restarts]).toEqual([pid, 0]);
  });

  it('kills one that is busy for too long, and says that it crashed', async () => {
    const child = only(await supervise([spec('a', { script: blocking(3_600_000, join(dir, 'never')) })], { busyMsMax: 200 }));
    await inState(child, 'ready');
    process.kill(pidOf(child), 'SIGUSR2');
    await reaches(() => child.restarts === 1);
    expect(crashed).toEqual(['a']);
  });

  it('does not say so of one that was killed from outside', async () => {
    const child = only(await supervise([spec('a', {})], { probeIntervalMs: 3_600_000 }));
    await inState(child, 'ready');
    process.kill(pidOf(child), 'SIGKILL');
    await reaches(() => child.restarts === 1);
    expect(crashed).toEqual([]);
  });

  it('lets a process finish and starts it again', async () => {
    const child = only(await supervise([spec('a', {})]));
    await inState(child, 'ready');
    const { pid } = child;
    child.renew();
    await reaches(() => child.state === 'ready' && child.pid !== pid);
    expect(child.restarts).toBe(1);
  });

  it('kills and replaces a process that never answers after its start', async () => {
    const mute = spec('a', { args: ['-e', 'setInterval(() => {}, 1000)'] });
    const child = only(await supervise([mute], { failedStartingProbesMax: 3 }));
    await reaches(() => child.restarts >= 1);
    expect(child.reason).toBe('signal SIGKILL');
  });

  it('keeps trying a program that is missing, says why, and starts it once it is there', async () => {
    let installed = false;
    const late = spec('a', {
      command: () => {
        if (!installed) throw new Error('redis-server was not found');
        return process.execPath;
      },
    });
    const child = only(await supervise([late]));
    await inState(child, 'backoff');
    expect(child.reason).toBe('redis-server was not found');
    installed = true;
    await inState(child, 'ready');
  });

  it('stops a process that waits for its restart', async () => {
    const dying = spec('a', { args: ['-e', 'process.exit(3)'] });
    const supervisor = await supervise([dying], { backoffMinMs: 60_000, backoffMaxMs: 60_000 });
    const child = only(supervisor);
    await inState(child, 'backoff');
    expect(child.reason).toBe('exit code 3');
    await supervisor.stop(10_000);
    expect(child.state).toBe('stopped');
  });
});

describe('stopping', () => {
  it('drains api, runner, workers, Redis, one after the other', async () => {
    const record = join(dir, 'order');
    const noting = (id: string, kind: ProcessKind) =>
      spec(id, {
        kind,
        script: `process.on('SIGTERM', () => setTimeout(() => { fs.appendFileSync('${record}', '${id} '); process.exit(0); }, 20));`,
      });
    const supervisor = await supervise([
      noting('redis', 'redis'),
      noting('worker', 'worker'),
      noting('runner', 'runner'),
      noting('api', 'api'),
    ]);
    await reaches(() => supervisor.processes.every(({ state }) => state === 'ready'));
    await supervisor.stop(10_000);
    expect(readFileSync(record, 'utf8')).toBe('api runner worker redis ');
    expect(new PidFiles(dir).ids()).toEqual([]);
  });

  it('kills what ignores SIGTERM when the deadline has passed', async () => {
    const supervisor = await supervise([spec('a', { script: `process.on('SIGTERM', () => {});` })]);
    const child = only(supervisor);
    await inState(child, 'ready');
    const pid = pidOf(child);
    await supervisor.stop(50);
    expect(child.state).toBe('stopped');
    expect(identityOf(pid)).toBeNull();
  });

  it('goes on where nothing can be written for a later scheduler', async () => {
    const supervisor = new Supervisor([spec('a', { probe: () => Promise.resolve() })], new PidFiles(join(dir, 'missing', 'folder')), {
      log: pino({ level: 'silent' }),
      timings,
      onRestart: ({ id }) => restarted.push(id),
      onCulprit: () => undefined,
      onCrash: () => undefined,
    });
    supervisors.push(supervisor);
    const child = only(supervisor);
    child.start();
    await inState(child, 'ready');
    process.kill(pidOf(child), 'SIGKILL');
    await reaches(() => child.state === 'ready' && child.restarts === 1);
  });

  it('ends at once on a second request', async () => {
    const supervisor = await supervise([spec('a', { script: `process.on('SIGTERM', () => {});` })]);
    await inState(only(supervisor), 'ready');
    const stopped = supervisor.stop(600_000);
    supervisor.hurry();
    await stopped;
    expect(only(supervisor).state).toBe('stopped');
  });
});

describe('a new scheduler after the old one was killed', () => {
  /** A supervisor that forgets its children, as a killed one does. */
  async function predecessor(specs: ProcessSpec[]): Promise<number[]> {
    const supervisor = await supervise(specs, { probeIntervalMs: 3_600_000, backoffMinMs: 3_600_000, backoffMaxMs: 3_600_000 });
    await reaches(() => supervisor.processes.every(({ state }) => state === 'ready'));
    return supervisor.processes.map(pidOf);
  }

  it('keeps a running process, and starts it again when it dies later', async () => {
    const [pid] = await predecessor([spec('a')]);
    const child = only(await supervise([spec('a')]));
    await inState(child, 'ready');
    expect(child.pid).toBe(pid);
    expect(child.restarts).toBe(0);
    process.kill(pidOf(child), 'SIGKILL');
    await reaches(() => child.state === 'ready' && child.pid !== pid);
    expect(child.restarts).toBe(1);
  });

  it('replaces one that hangs, as soon as one that hangs when it starts', async () => {
    const script = `process.on('SIGUSR2', () => { for (;;); });`;
    const [pid = 0] = await predecessor([spec('a', { script })]);
    process.kill(pid, 'SIGUSR2');
    // Four timeouts of 200 ms count as 80 probes.
    const child = only(await supervise([spec('a', { script })], { failedStartingProbesMax: 80, backoffMinMs: 10, busyMsMax: 100 }));
    await reaches(() => child.state === 'ready' && child.pid !== pid);
    expect(child.restarts).toBe(1);
  });

  it('replaces a process that was started differently', async () => {
    const [pid = 0] = await predecessor([spec('a')]);
    const child = only(await supervise([spec('a', { fingerprint: 'v2' })]));
    await inState(child, 'ready');
    expect(child.pid).not.toBe(pid);
    expect(identityOf(pid)).toBeNull();
  });

  it('ends a process that is no longer planned', async () => {
    const [, pid = 0] = await predecessor([spec('a'), spec('b')]);
    await supervise([spec('a')]);
    expect(identityOf(pid)).toBeNull();
    expect(new PidFiles(dir).ids()).toEqual(['a']);
  });

  it.each([
    ['of a process that is gone', { pid: 2 ** 22 + 1, startKey: 'x:1', fingerprintHash: '' }],
    ['whose pid belongs to another process by now', { pid: process.pid, startKey: 'x:1', fingerprintHash: '' }],
    ['that is not readable', 'nonsense'],
  ])('starts afresh with a pid file %s', async (_name, record) => {
    writeFileSync(join(dir, 'a.pid.json'), JSON.stringify(record));
    const child = only(await supervise([spec('a')]));
    await inState(child, 'ready');
    expect(child.pid).not.toBe(process.pid);
  });
});

describe('process identity', () => {
  it('survives a command name with spaces and parentheses', () => {
    const identity = identityOf(process.pid);
    const comm = readFileSync('/proc/self/comm', 'utf8');
    writeFileSync('/proc/self/comm', 'x) R 1 (y');
    try {
      expect(identity && isRunning(identity)).toBe(true);
    } finally {
      writeFileSync('/proc/self/comm', comm);
    }
  });
});

describe('the lock of a data directory', () => {
  it('refuses a second scheduler and names the first', () => {
    lockDataDir(dir);
    expect(() => lockDataDir(dir)).toThrow(DataDirLockedError);
    expect(() => lockDataDir(dir)).toThrow(String(process.pid));
  });
});
