import type { CostGrid } from '@app/contracts';
import { inspectRuntime } from '@app/native';
import { NativeProgram, tableCommand } from './native-program';

/** One session run: rows, and the length that they are padded to. */
export interface Run {
  rows: number;
  length: number;
}

/** Limits of the best runs: what is measured, and what the server's runs are limited to by memory. */
const BEST_LIMITS = { rowsMax: 32, tokensMax: 4096 };

/**
 * Session runs without a server around them (libs/native/bench/bare_runs.cc): same session code and pinned threads as a
 * batch worker's executors. One command at a time.
 */
export class BareRunner {
  private readonly program: NativeProgram;

  constructor(options: { modelPath: string; output: string; cpus: number[] }) {
    this.program = new NativeProgram('bare_runs', [
      inspectRuntime(null).path,
      options.modelPath,
      options.output,
      ...options.cpus.map(String),
    ]);
  }

  /** Costs for `bestRuns`. */
  async setTable(grid: CostGrid): Promise<void> {
    await this.program.ask(tableCommand(grid));
  }

  /** The runs of rows of these lengths that cost least together; the longest first, so that the threads end at about the same time. */
  async bestRuns(lengths: number[]): Promise<Run[]> {
    const answer = await this.program.ask(['partition', BEST_LIMITS.rowsMax, BEST_LIMITS.tokensMax, ...lengths].join(' '));
    return answer
      .trim()
      .split(' ')
      .map((text) => {
        const [rows = 0, length = 0] = text.split('x').map(Number);
        return { rows, length };
      })
      .sort((a, b) => b.rows * b.length - a.rows * a.length);
  }

  /** Seconds from the first run's start to the last one's end; a free thread takes the next run. */
  async seconds(runs: Run[]): Promise<number> {
    return Number(await this.program.ask(['run', ...runs.map(({ rows, length }) => `${rows}x${length}`)].join(' ')));
  }

  close(): Promise<void> {
    return this.program.close();
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
