import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { childEnvironment } from '@app/config';
import { byteText } from '@app/contracts';
import type { TableColumn } from '@app/batches';
import { BadTable, type TableTask, type TableVerdict } from './table-task';

/** Heap of a child, which parses one row at a time. */
const HEAP_MIB = 192;
/** Resident memory of a child; its own buffers are far below. */
const RESIDENT_BYTES_MAX = 640 * 1024 * 1024;
const WATCH_MS = 250;
const PAGE_BYTES = 4096;
/** How a process ends that crashed by itself. */
const CRASHES: ReadonlySet<NodeJS.Signals> = new Set<NodeJS.Signals>(['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP']);

/** A table that was neither read nor written, for a reason that does not lie with the machine: see `LastingTrouble`. */
export class TableTrouble extends Error {
  override readonly name = 'TableTrouble';
}

const REASON_CHARS_MAX = 400;
/** How what the machine refuses begins, in the words of DuckDB and of Node.js: it may pass. */
const MACHINE_TROUBLE = /^(Invalid Input Error: )?((IO Error|E[A-Z]{2,}): |(read|write) E[A-Z]{2,}\b)/;

function troubleOf(told: string): Error {
  const message = `table: ${told.split('\n', 1)[0]?.slice(0, REASON_CHARS_MAX)}`;
  return MACHINE_TROUBLE.test(told) ? new Error(message) : new TableTrouble(message);
}

/** What node runs as a child; in this order. */
export const TABLE_CHILD: readonly string[] = [join(__dirname, 'child.js')];

/** One table that is read or written by a child process, which ends with this one, or when `signal` is aborted. */
export class TableProcess {
  private readonly child: ChildProcess;
  private readonly ended: Promise<[number | null, NodeJS.Signals | null]>;
  private readonly watch: NodeJS.Timeout;
  private told: TableVerdict | null = null;
  private isTooLarge = false;
  private readonly kind: TableTask['kind'];

  /** `inputFd`: see `INPUT_FD`; null: it reads no file. */
  constructor(childArgs: readonly string[], task: TableTask, inputFd: number | null, signal: AbortSignal) {
    this.kind = task.kind;
    this.child = spawn(process.execPath, [`--max-old-space-size=${HEAP_MIB}`, ...childArgs], {
      stdio: ['pipe', 'pipe', 'inherit', 'ipc', inputFd ?? 'ignore'],
      env: childEnvironment({ settings: false, secrets: false }, {}),
    });
    this.child.on('message', (verdict: TableVerdict) => (this.told = verdict));
    this.child.send(task, () => undefined); // one that could not be started says so otherwise
    this.stdin.on('error', () => undefined); // it ended before it had read all, and says why
    this.ended = new Promise((resolve, reject) => {
      this.child.once('close', (code, ending) => resolve([code, ending]));
      this.child.once('error', reject);
    });
    this.ended.catch(() => undefined); // `columns` tells
    const end = (): void => this.kill();
    signal.addEventListener('abort', end, { once: true });
    this.watch = setInterval(() => void this.endIfTooLarge(), WATCH_MS);
    this.child.once('exit', () => {
      clearInterval(this.watch);
      signal.removeEventListener('abort', end);
    });
  }

  get stdin(): Writable {
    return this.child.stdin as Writable;
  }

  get stdout(): Readable {
    return this.child.stdout as Readable;
  }

  /** Resolves once it has ended as it should, with what it says of its columns. Rejects with `BadTable`, or with an error that may pass. */
  async columns(): Promise<TableColumn[]> {
    const [code, signal] = await this.ended;
    const { told } = this;
    if (this.isTooLarge) throw this.failure(`takes more than ${byteText(RESIDENT_BYTES_MAX)} of memory`, 'smaller row groups or batches');
    if (told !== null && 'columns' in told && code === 0) return told.columns;
    if (told !== null && 'fault' in told) throw new BadTable(told.fault.message, told.fault.code as BadTable['code'], told.fault.line);
    if (told !== null && 'trouble' in told) throw troubleOf(told.trouble);
    if (signal !== null && CRASHES.has(signal)) throw this.failure(`crashed (${signal})`, 'another program');
    throw new Error(`the process of a table ended early (${signal ?? `status ${code}`})`);
  }

  /** A table that is written is ours, and the fault of nobody's file. */
  private failure(what: string, remedy: string): Error {
    if (this.kind === 'read') return new BadTable(`Reading the table ${what}; write it with ${remedy}.`);
    return new TableTrouble(`table: writing it ${what}`);
  }

  /** Ends it. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  private async endIfTooLarge(): Promise<void> {
    const facts = await readFile(`/proc/${this.child.pid ?? 0}/statm`, 'latin1').catch(() => '');
    // The second figure is resident pages.
    if (Number(facts.split(' ')[1] ?? 0) * PAGE_BYTES <= RESIDENT_BYTES_MAX) return;
    this.isTooLarge = true;
    this.kill();
  }
}
