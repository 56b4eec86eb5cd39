import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { CostGrid } from '@app/contracts';
import { inspectRuntime } from '@app/native';

/** One session run: rows, and the length that they are padded to. */
export interface Run {
  rows: number;
  length: number;
}

/** Path in the checkout that the benchmark is started in. */
const PROGRAM = join('libs', 'native', 'build', 'bare_runs');

/**
 * Session runs without a server around them (libs/native/bench/bare_runs.cc): same session code and pinned threads as a
 * batch worker's executors. One command at a time.
 */
export class BareRunner {
  private readonly process: ChildProcessByStdio<Writable, Readable, null>;
  private readonly answers: AsyncIterator<string>;
  private readonly lines: Interface;

  constructor(options: { modelPath: string; output: string; cpus: number[] }) {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not built; start the benchmark with make bench, or build that target`);
    this.process = spawn(PROGRAM, [inspectRuntime(null).path, options.modelPath, options.output, ...options.cpus.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.lines = createInterface({ input: this.process.stdout });
    this.answers = this.lines[Symbol.asyncIterator]();
  }

  /** Costs for `partition`. */
  async setTable({ lengths, rows, runNs }: CostGrid): Promise<void> {
    await this.ask(['table', lengths.length, rows.length, ...lengths, ...rows, ...runNs.flat()].join(' '));
  }

  /** How rows of these lengths divide into the runs that cost least together; limits as in `interleave.yaml`. */
  async partition(lengths: number[], limits: { rowsMax: number; tokensMax: number }): Promise<Run[]> {
    const answer = await this.ask(['partition', limits.rowsMax, limits.tokensMax, ...lengths].join(' '));
    return answer
      .trim()
      .split(' ')
      .map((text) => {
        const [rows = 0, length = 0] = text.split('x').map(Number);
        return { rows, length };
      });
  }

  /** Seconds from the first run's start to the last one's end; a free thread takes the next run. */
  async seconds(runs: Run[]): Promise<number> {
    return Number(await this.ask(['run', ...runs.map(({ rows, length }) => `${rows}x${length}`)].join(' ')));
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('close', resolve));
    this.process.stdin.end();
    await ended;
  }

  private async ask(command: string): Promise<string> {
    this.process.stdin.write(`${command}\n`);
    const { value, done } = await this.answers.next();
    if (done === true) throw new Error(`bare_runs ended on: ${command.slice(0, 80)}`);
    return value;
  }
}

/** Rows in order of arrival, cut whenever `isFull` says that one more would be too much, padded to the longest. */
export function fifoRuns(lengths: number[], fits: (run: Run) => boolean): Run[] {
  const runs: Run[] = [];
  let run: Run = { rows: 0, length: 0 };
  for (const length of lengths) {
    const longer = { rows: run.rows + 1, length: Math.max(run.length, length) };
    if (run.rows > 0 && !fits(longer)) {
      runs.push(run);
      run = { rows: 1, length };
    } else {
      run = longer;
    }
  }
  return run.rows === 0 ? runs : [...runs, run];
}
