import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { childEnvironment } from '@app/config';

/** A definition and texts that are tokenized with it. The first two are also tried as a pair. */
export interface Trial {
  content: string;
  texts: string[];
}

const TRIAL_MS_MAX = 60_000;
/** CPU seconds of a trial process, which tries many tokenizers; the limit ends one that outlives this process. */
const CPU_S_MAX = 600;
const MEMORY_KIB_MAX = 2 * 1024 * 1024;
/** The process waits this long for another tokenizer: starting one costs as much as most trials. */
const IDLE_MS = 1_000;
const STDERR_BYTES_MAX = 16 * 1024;
const PANIC = /panicked at [^\n]*\n([^\n]*)/;

/** What the process of the trials runs; its argument is where the Rust tokenizer is. */
const PROGRAM = `
const { Tokenizer } = require(process.argv[1]);
// An ordinary exit would wait for a tokenizer that hangs.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', async (trials) => {
  try {
    for (const { content, texts } of trials) {
      const tokenizer = Tokenizer.fromString(content);
      tokenizer.disableTruncation();
      tokenizer.disablePadding();
      await tokenizer.encode(texts[0], texts[1]);
      for (const text of texts) await tokenizer.encode(text);
    }
    process.send(null);
  } catch (error) {
    process.send(String(error.message));
  }
});`;

/** The process of the trials while there is one. */
let running: TrialProcess | null = null;
/** Trials are run one after the other. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Runs the trials in a process of its own, because some definitions end the process that uses them, hang it or fill its memory.
 * Rejects with the reason when it did not come through, within 60 s and 2 GiB.
 */
export function runTrials(trials: Trial[]): Promise<void> {
  const result = last.then(async () => {
    if (running?.isOver !== false) running = new TrialProcess();
    await running.run(trials);
  });
  last = result.catch(() => undefined);
  return result;
}

class TrialProcess {
  private readonly child: ChildProcess;
  private stderr = '';
  private hasEnded = false;
  private idle: NodeJS.Timeout | undefined;

  constructor() {
    // Rust's memory is no heap of node: the kernel limits it.
    const limited = `ulimit -d ${MEMORY_KIB_MAX} && ulimit -t ${CPU_S_MAX} && ulimit -c 0 && exec "$0" "$@"`;
    this.child = spawn('/bin/sh', ['-c', limited, process.execPath, '-e', PROGRAM, require.resolve('tokenizers')], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
      env: childEnvironment({ settings: false, secrets: false }, {}),
    });
    this.child.stderr?.on('data', (part: Buffer) => {
      this.stderr = (this.stderr + part.toString()).slice(0, STDERR_BYTES_MAX);
    });
    this.child.on('exit', () => this.end()).on('error', () => this.end());
  }

  get isOver(): boolean {
    return this.hasEnded;
  }

  async run(trials: Trial[]): Promise<void> {
    clearTimeout(this.idle);
    this.hold(true);
    try {
      await this.outcome(trials);
    } finally {
      this.hold(false);
      this.idle = setTimeout(() => this.end(), IDLE_MS).unref();
    }
  }

  private outcome(trials: Trial[]): Promise<void> {
    const { child } = this;
    return new Promise((resolve, reject) => {
      const finish = (reason: string | null): void => {
        clearTimeout(timer);
        child.removeListener('message', onMessage).removeListener('close', onClose).removeListener('error', onError);
        if (reason === null) resolve();
        else reject(new Error(reason));
      };
      const onMessage = (error: unknown): void => finish(error === null ? null : String(error));
      const onClose = (): void =>
        finish(
          `the Rust tokenizer ended its process when it was tried: ${PANIC.exec(this.stderr)?.[1] ?? (this.stderr.trim().slice(0, 256) || 'no reason given')}`,
        );
      const onError = (error: Error): void => finish(`it could not be tried: ${error.message}`);
      const timer = setTimeout(() => {
        this.end();
        finish(`the Rust tokenizer did not come to an end within ${TRIAL_MS_MAX / 1000} s when it was tried`);
      }, TRIAL_MS_MAX);
      child.on('message', onMessage).on('close', onClose).on('error', onError);
      // Without descriptors for it there is no channel.
      if (child.send === undefined) return finish('it could not be tried: no process could be started for it');
      child.send(trials, (error) => {
        if (error !== null && child.exitCode === null && child.signalCode === null) onError(error);
      });
    });
  }

  /** While nothing is tried, the process of the trials does not keep this one alive. */
  private hold(isBusy: boolean): void {
    const method = isBusy ? 'ref' : 'unref';
    this.child[method]();
    this.child.channel?.[method]();
    (this.child.stderr as Socket | null)?.[method]();
  }

  private end(): void {
    this.hasEnded = true;
    clearTimeout(this.idle);
    this.child.kill('SIGKILL');
  }
}
