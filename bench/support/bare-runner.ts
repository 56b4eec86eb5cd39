import type { CostGrid } from '@app/contracts';
import { inspectRuntime } from '@app/native';
import { NativeProgram, tableCommand } from './native-program';

/** One session run: rows, and the length that they are padded to. */
export interface Run {
  rows: number;
  length: number;
}

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

  /** Costs for `partition`. */
  async setTable(grid: CostGrid): Promise<void> {
    await this.program.ask(tableCommand(grid));
  }

  /** How rows of these lengths divide into the runs that cost least together; limits as in `interleave.yaml`. */
  async partition(lengths: number[], limits: { rowsMax: number; tokensMax: number }): Promise<Run[]> {
    const answer = await this.program.ask(['partition', limits.rowsMax, limits.tokensMax, ...lengths].join(' '));
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
