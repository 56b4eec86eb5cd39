import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import type { ProcessState } from '@app/contracts';
import { identityOf, isRunning, type ProcessIdentity } from './proc-fs';
import { DEFAULT_TIMINGS } from './process-spec';
import { SupervisedProcess } from './supervised-process';

const STATES = ['stopped', 'starting', 'ready', 'backoff', 'draining'] as const;
const OPERATIONS = ['start', 'adopt', 'stop', 'kill', 'renew'] as const;
type Operation = (typeof OPERATIONS)[number];

/** The states that a process takes after an operation, the last one for good; `throws`: refused, and it stays what it is. */
const MATRIX: Record<Operation, Record<ProcessState, readonly ProcessState[] | 'throws'>> = {
  start: { stopped: ['starting', 'ready'], starting: 'throws', ready: 'throws', backoff: 'throws', draining: 'throws' },
  adopt: { stopped: ['starting', 'ready'], starting: 'throws', ready: 'throws', backoff: 'throws', draining: 'throws' },
  stop: {
    stopped: ['stopped'],
    starting: ['draining', 'stopped'],
    ready: ['draining', 'stopped'],
    backoff: ['stopped'],
    draining: ['draining'],
  },
  kill: {
    stopped: ['stopped'],
    starting: ['starting', 'backoff'],
    ready: ['ready', 'backoff'],
    backoff: ['backoff'],
    draining: ['draining', 'stopped'],
  },
  renew: {
    stopped: ['stopped'],
    starting: ['starting', 'backoff'],
    ready: ['ready', 'backoff'],
    backoff: ['backoff'],
    draining: ['draining'],
  },
};

const HOUR_MS = 3_600_000;

describe('SupervisedProcess', () => {
  let directory: string;
  let isAnswering: boolean;
  let process_: SupervisedProcess;
  let adopted: SupervisedProcess | null;
  let launched: ProcessIdentity[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'supervised-'));
    [launched, adopted, isAnswering] = [[], null, true];
    process_ = supervised();
  });

  afterEach(async () => {
    for (const each of [process_, adopted]) {
      const stopped = each?.stop();
      each?.kill();
      await stopped;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  /** It ends on SIGTERM, unless a file `deaf` is there; its probes say what `isAnswering` says, and by default it stays in backoff. */
  function supervised(backoffMs = HOUR_MS): SupervisedProcess {
    const script = `const fs = require('fs'); setInterval(() => undefined, 1000);
      process.on('SIGTERM', () => fs.existsSync('${directory}/deaf') ? fs.writeFileSync('${directory}/asked', '') : process.exit(0));
      fs.writeFileSync('${directory}/up', '');`;
    const spec = {
      id: 'child',
      kind: 'worker' as const,
      command: () => process.execPath,
      args: ['-e', script],
      ownSession: false,
      inheritedFds: [],
      inherits: { settings: false, secrets: false },
      heartbeatSlots: null,
      environment: {},
      fingerprint: 'v1',
      probe: async () => {
        if (!isAnswering) throw new Error('no answer');
      },
    };
    return new SupervisedProcess(spec, {
      log: pino({ level: 'silent' }),
      timings: { ...DEFAULT_TIMINGS, startingProbeIntervalMs: 10, backoffMinMs: backoffMs, backoffMaxMs: backoffMs },
      onLaunched: (_, identity) => launched.push(identity),
      onExited: () => undefined,
      onRestart: () => undefined,
      onCulprit: () => undefined,
      onCrash: () => undefined,
    });
  }

  async function until(state: ProcessState): Promise<void> {
    while (process_.state !== state) await sleep(5);
  }

  async function untilFile(name: string): Promise<void> {
    while (!existsSync(join(directory, name))) await sleep(5);
  }

  async function enter(state: ProcessState): Promise<void> {
    if (state === 'stopped') return;
    isAnswering = state !== 'starting';
    process_.start();
    await untilFile('up');
    if (state !== 'starting') await until('ready');
    if (state === 'backoff') process_.kill();
    if (state === 'draining') {
      writeFileSync(join(directory, 'deaf'), '');
      void process_.stop();
      await untilFile('asked');
    }
    await until(state);
  }

  /** Another supervisor's child, for `adopt`. */
  async function runningIdentity(): Promise<ProcessIdentity> {
    adopted = supervised();
    adopted.start();
    const identity = identityOf(adopted.pid ?? 0);
    if (identity === null) throw new Error('the process to adopt does not run');
    return identity;
  }

  const cases = OPERATIONS.flatMap((operation) => STATES.map((state) => [operation, state, MATRIX[operation][state]] as const));

  it.each(cases)('%s when %s: %s', async (operation, state, expected) => {
    await enter(state);
    const identity = operation === 'adopt' ? await runningIdentity() : null;
    const apply = (): unknown => (identity === null ? process_[operation as 'start']() : process_.adopt(identity));
    if (expected === 'throws') expect(apply).toThrow(`expected state stopped but it is ${state}`);
    else void apply();
    const states = expected === 'throws' ? [state] : expected;
    expect(process_.state).toBe(states[0]);
    for (const next of states) await until(next);
    await sleep(30);
    const last = states.at(-1) as ProcessState;
    expect(process_.state).toBe(last);
    const runs = last !== 'stopped' && last !== 'backoff';
    expect(process_.pid === null).toBe(!runs);
    if (identity === null) expect(launched.filter(isRunning)).toHaveLength(runs ? 1 : 0);
  });

  it('is started again when the backoff is over', async () => {
    process_ = supervised(20);
    await enter('ready');
    process_.kill();
    while (process_.restarts === 0) await sleep(5);
    await until('ready');
  });
});
