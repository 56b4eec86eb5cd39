import { median, quantile } from '../support/statistics';
import type { Cell } from './arrangements';
import type { Measured } from './measure';

/** One cell in every round. */
export interface CellRounds {
  cell: Cell;
  rounds: Measured[];
}

export interface Latencies {
  p50Ms: number;
  p99Ms: number;
  meanMs: number;
}

/** One arrangement at one live load against the live lane alone in the same run. */
export interface Figures {
  load: number;
  arrangement: Cell['name'];
  batchModel: string | null;
  samples: number;
  errors: number;
  live: Latencies;
  alone: Latencies;
  /** p99 of all samples against p99 of all samples alone. */
  inflation: number;
  /** The same within each round: the median of the rounds. */
  inflationOfRounds: number;
  /** p99 against p99 alone on CPUs that are kept awake. */
  inflationOfAwake: number;
  /** p99 alone, the second time of each round against the first. */
  noise: number;
  noiseOfRounds: number;
  batchRowsPerSecond: number;
  /** Batch work done against what it does alone in the CPU time that the live lane leaves; null: no such cell. */
  harvest: number | null;
  liveCpuShare: number;
  batchCpuShare: number;
  busyShare: number;
  /** Share of the same CPUs taken by anything but the node's workers: more than a hundredth or two says that the machine was not quiet (the loop of "awake" counts). */
  othersShare: number;
  stealShare: number;
  /** Live executors: mean time between being runnable and running. */
  wakeDelayUs: number;
  /** How late the generator sent: the time of the Poisson process against the call. */
  sendLateP99Ms: number;
}

const latencies = (rounds: Measured[]): number[] =>
  rounds.flatMap(({ live }) => live.map(({ latencyMs }) => latencyMs).filter(Number.isFinite));

const sum = (rounds: Measured[], of: (round: Measured) => number): number => rounds.reduce((total, round) => total + of(round), 0);

const summary = (samples: number[]): Latencies => ({
  p50Ms: quantile(samples, 0.5),
  p99Ms: quantile(samples, 0.99),
  meanMs: samples.reduce((total, value) => total + value, 0) / samples.length,
});

const p99 = (rounds: Measured[]): number => quantile(latencies(rounds), 0.99);

/** The live lane without a batch load. */
export interface Baselines {
  /** Twice in each round. */
  alone: [CellRounds, CellRounds];
  awake: CellRounds;
}

/** Share of the node's CPUs taken by anything but its executors. */
export const othersShareOf = ({ cpu }: Measured): number =>
  1 - (cpu.idleSeconds + cpu.live.cpuSeconds + cpu.batch.cpuSeconds) / cpu.wallSeconds;

/** `batchAlone`: the same batch load on the same node without live load. */
export function figuresOf(load: number, shared: CellRounds, { alone, awake }: Baselines, batchAlone: CellRounds | null): Figures {
  const { rounds } = shared;
  const [first, second] = [alone[0].rounds, alone[1].rounds];
  const ratios = rounds.map((round, index) => p99([round]) / p99([first[index], second[index]].filter((one) => one !== undefined)));
  const noises = first.map((round, index) => p99([second[index] ?? round]) / p99([round]));
  const wallSeconds = sum(rounds, ({ cpu }) => cpu.wallSeconds);
  const liveCpuShare = sum(rounds, ({ cpu }) => cpu.live.cpuSeconds) / wallSeconds;
  const batchCpuShare = sum(rounds, ({ cpu }) => cpu.batch.cpuSeconds) / wallSeconds;
  const busyShare = 1 - sum(rounds, ({ cpu }) => cpu.idleSeconds) / wallSeconds;
  return {
    load,
    arrangement: shared.cell.name,
    batchModel: shared.cell.batchModel,
    samples: latencies(rounds).length,
    errors: sum(rounds, ({ live }) => live.filter(({ error }) => error !== null).length),
    live: summary(latencies(rounds)),
    alone: summary(latencies([...first, ...second])),
    inflation: p99(rounds) / p99([...first, ...second]),
    inflationOfRounds: median(ratios),
    inflationOfAwake: p99(rounds) / p99(awake.rounds),
    noise: p99(second) / p99(first),
    noiseOfRounds: median(noises),
    batchRowsPerSecond: sum(rounds, ({ runRows }) => runRows) / sum(rounds, ({ seconds }) => seconds),
    harvest: batchAlone === null ? null : tokensPerSecond(rounds) / (tokensPerSecond(batchAlone.rounds) * (1 - liveCpuShare)),
    liveCpuShare,
    batchCpuShare,
    busyShare,
    othersShare: busyShare - liveCpuShare - batchCpuShare,
    stealShare: sum(rounds, ({ cpu }) => cpu.stealSeconds) / wallSeconds,
    wakeDelayUs: (sum(rounds, ({ cpu }) => cpu.live.waitSeconds) * 1e6) / sum(rounds, ({ cpu }) => cpu.live.slices),
    sendLateP99Ms: quantile(
      rounds.flatMap(({ live }) => live.map(({ lateMs }) => lateMs)),
      0.99,
    ),
  };
}

/** Tokens stand for rows of the mix's mean length: which lengths a round happened to have does not matter. */
const tokensPerSecond = (rounds: Measured[]): number =>
  sum(rounds, ({ batchTokens }) => batchTokens) / sum(rounds, ({ seconds }) => seconds);
