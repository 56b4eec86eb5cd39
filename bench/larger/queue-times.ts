import type { CostGrid } from '@app/contracts';
import { NativeProgram, tableCommand } from '../support/native-program';

/** What one run asks of the queue's lock while so many items wait. */
export interface Hold {
  waiting: number;
  /** From `Take` to its return; choosing the run is part of it. */
  takeNs: number;
  chooseNs: number;
  /** For each item. */
  pushNs: number;
  answerNs: number;
  rowsPerRun: number;
}

/** The queue and the channel without a model (libs/native/bench/queue_times.cc). */
export class QueueTimes {
  private readonly program = new NativeProgram('queue_times');

  async setTable(grid: CostGrid): Promise<void> {
    await this.program.ask(tableCommand(grid));
  }

  async hold(executors: number, waiting: number, lengths: number[]): Promise<Hold> {
    const [takeNs = NaN, chooseNs = NaN, pushNs = NaN, answerNs = NaN, rowsPerRun = NaN] = await this.numbers([
      'hold',
      executors,
      waiting,
      ...lengths,
    ]);
    return { waiting, takeNs, chooseNs, pushNs, answerNs, rowsPerRun };
  }

  /** Runs a second that so many threads take and answer, which do nothing else. */
  async contend(options: { executors: number; threads: number; waiting: number; seconds: number; lengths: number[] }): Promise<number> {
    const { executors, threads, waiting, seconds, lengths } = options;
    const [runsPerSecond = NaN] = await this.numbers(['contend', executors, threads, waiting, seconds, ...lengths]);
    return runsPerSecond;
  }

  /** Time to queue an item while all executors sleep. */
  async wakeNs(executors: number): Promise<number> {
    return (await this.numbers(['wake', executors]))[0] ?? NaN;
  }

  /** Items of so many tokens that a channel carries there and back with nothing behind it. */
  async channelItemsPerSecond(tokens: number, seconds: number): Promise<number> {
    return (await this.numbers(['channel', tokens, seconds]))[0] ?? NaN;
  }

  close(): Promise<void> {
    return this.program.close();
  }

  private async numbers(command: (string | number)[]): Promise<number[]> {
    return (await this.program.ask(command.join(' '))).split(' ').map(Number);
  }
}

/** At `waiting` items, between the two nearest that were measured; beyond the last one in proportion. */
export function holdAt(holds: readonly Hold[], waiting: number): Hold {
  const upper = Math.max(
    1,
    holds.findIndex((hold) => hold.waiting >= waiting),
  );
  const isBeyond = waiting > (holds.at(-1)?.waiting ?? 0);
  const [from, to] = isBeyond ? holds.slice(-2) : holds.slice(upper - 1, upper + 1);
  if (from === undefined || to === undefined) throw new Error('expected at least two measurements');
  const share = Math.max(0, (waiting - from.waiting) / (to.waiting - from.waiting));
  const between = (key: keyof Hold): number => from[key] + (to[key] - from[key]) * share;
  return {
    waiting,
    takeNs: between('takeNs'),
    chooseNs: between('chooseNs'),
    pushNs: between('pushNs'),
    answerNs: between('answerNs'),
    rowsPerRun: between('rowsPerRun'),
  };
}
