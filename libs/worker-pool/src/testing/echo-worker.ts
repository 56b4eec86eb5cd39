import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ModelReport, ModelSignature, WorkerReport } from '@app/contracts';

const EXECUTABLE = join(__dirname, '../../../native/build/echo_worker');

/** What model `command` of test/echo_sink.h obeys: [command, argument]. */
export const COMMANDS = { abort: 1n, hold: 2n, fail: 3n, output: 4n, drop: 5n } as const;

const ECHO_SIGNATURE: ModelSignature = {
  inputs: [{ name: 'text', datatype: 'UINT8', shape: [-1], axes: ['sequence0'] }],
  outputs: [{ name: 'text', datatype: 'UINT8', shape: [-1], axes: ['sequence0'] }],
  coalesce: 'alone',
  coalesceReason: 'test',
};
const COMMAND_SIGNATURE: ModelSignature = {
  inputs: [{ name: 'command', datatype: 'INT64', shape: [2], axes: ['fixed'] }],
  outputs: [{ name: 'bytes', datatype: 'UINT8', shape: [-1], axes: ['free'] }],
  coalesce: 'alone',
  coalesceReason: 'test',
};

/** The two models of the echo worker, in its order. */
export const ECHO_MODELS: ModelReport[] = [
  { name: 'echo', version: '1', revision: 1, state: 'ready', cost: null, reason: null, signature: ECHO_SIGNATURE },
  { name: 'command', version: '1', revision: 2, state: 'ready', cost: null, reason: null, signature: COMMAND_SIGNATURE },
];

export const echoReport = (models = ECHO_MODELS, workerId = 'all-realtime'): WorkerReport => ({ workerId, lane: 'realtime', models });

export interface StartedItem {
  itemId: number;
  alone: boolean;
  priority: number;
}

/** The C++ test worker (test/echo_worker.cc) as a child process. */
export class EchoWorker {
  readonly started: StartedItem[] = [];
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly exited: Promise<unknown>;
  private listening = false;
  private commandsSent = 0;
  private commandsDone = 0;
  private readonly waiters = new Set<() => void>();

  private constructor(socketPath: string, executors: number, report: WorkerReport) {
    if (!existsSync(EXECUTABLE)) throw new Error(`${EXECUTABLE} is missing; run: bash libs/native/build.sh --tests`);
    this.child = spawn(EXECUTABLE, [socketPath, String(executors), JSON.stringify(report)]);
    this.exited = once(this.child, 'exit');
    this.child.stdin.on('error', () => undefined); // it was killed while we wrote
    createInterface({ input: this.child.stdout }).on('line', (line) => this.onLine(line));
  }

  /** Resolves once it listens. An item that waited for it may kill it before it can say so. */
  static async start(socketPath: string, { executors = 1, report = echoReport() } = {}): Promise<EchoWorker> {
    const worker = new EchoWorker(socketPath, executors, report);
    await Promise.race([worker.until(() => worker.listening), worker.exited]);
    return worker;
  }

  /** Items wait before the executors until `open`. Resolves when it is so. */
  shut(): Promise<void> {
    return this.command('shut');
  }

  open(): Promise<void> {
    return this.command('open');
  }

  publish(report: WorkerReport): Promise<void> {
    return this.command(`text ${JSON.stringify(report)}`);
  }

  /** Resolves when `condition` holds; looked at whenever the worker says something. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.waiters.add(resolve));
  }

  async untilStarted(count: number): Promise<void> {
    await this.until(() => this.started.length >= count);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Drains and exits. */
  async stop(): Promise<void> {
    this.child.stdin.write('stop\n');
    await this.exited;
  }

  async exit(): Promise<void> {
    await this.exited;
  }

  private async command(line: string): Promise<void> {
    const wanted = ++this.commandsSent;
    this.child.stdin.write(`${line}\n`);
    await this.until(() => this.commandsDone >= wanted);
  }

  private onLine(line: string): void {
    const [word, itemId, alone, priority] = line.split(' ');
    if (word === 'listening') this.listening = true;
    if (word === 'done') this.commandsDone += 1;
    if (word === 'run') this.started.push({ itemId: Number(itemId), alone: alone === '1', priority: Number(priority) });
    for (const waiter of this.waiters) waiter();
    this.waiters.clear();
  }
}
