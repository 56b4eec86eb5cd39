import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { chartOf } from './chart';
import type { Figures } from './figures';

const RESULTS = join('bench', 'results');

export const TARGETS =
  'targets: p99 inflation at most 1.10 at loads 0.2 and 0.5 (goal 1.05); harvest at least 0.90 (goal 0.97); CPU busy at least 92 % (goal 97 %)';
const PUBLISHED = 'published for hybrid against static: mean latency 85 to 47 ms (0.55), utilisation 62 to 89 % (1.44)';

export const tableOf = (figures: Figures[]): object[] =>
  figures.map((one) => ({
    load: one.load,
    arrangement: one.arrangement,
    batch: one.batchModel ?? '-',
    samples: one.samples,
    'p50/p99/mean ms': [one.live.p50Ms, one.live.p99Ms, one.live.meanMs].map((value) => value.toFixed(1)).join(' '),
    'of alone (rounds)': `${one.inflation.toFixed(2)} (${one.inflationOfRounds.toFixed(2)})`,
    'of awake': one.inflationOfAwake.toFixed(2),
    'noise (rounds)': `${one.noise.toFixed(2)} (${one.noiseOfRounds.toFixed(2)})`,
    'batch rows/s': one.batchRowsPerSecond.toFixed(0),
    harvest: one.harvest?.toFixed(3) ?? '-',
    'busy %': percent(one.busyShare),
    'live+batch %': `${percent(one.liveCpuShare)}+${percent(one.batchCpuShare)}`,
    'others+steal %': `${percent(one.othersShare)}+${percent(one.stealShare)}`,
    'wake us': one.wakeDelayUs.toFixed(0),
    errors: one.errors,
  }));

/** Interleave against the static split, at equal CPUs and live rows per second. */
export function splitLines(figures: Figures[]): string[] {
  const split = figures.find(({ arrangement }) => arrangement === 'static split');
  const whole = figures.find(({ arrangement }) => arrangement === 'Interleave on all CPUs');
  if (split === undefined || whole === undefined) return [];
  const ratios = [
    `mean latency ${split.live.meanMs.toFixed(1)} to ${whole.live.meanMs.toFixed(1)} ms (${(whole.live.meanMs / split.live.meanMs).toFixed(2)})`,
    `utilisation ${percent(split.busyShare)} to ${percent(whole.busyShare)} % (${(whole.busyShare / split.busyShare).toFixed(2)})`,
    `batch rows/s ${split.batchRowsPerSecond.toFixed(0)} to ${whole.batchRowsPerSecond.toFixed(0)} (${(whole.batchRowsPerSecond / split.batchRowsPerSecond).toFixed(2)})`,
  ];
  return [`load ${split.load} of the live half, static split to Interleave on the same CPUs: ${ratios.join(', ')}; ${PUBLISHED}`];
}

const percent = (share: number): string => (100 * share).toFixed(1);

/** Replaces what the result file knows of the same cells, so that parts can be measured one by one. */
export function saveFigures(figures: Figures[], conditions: object): void {
  const path = join(RESULTS, 'mixed.json');
  const idOf = ({ load, arrangement, batchModel }: Figures): string => `${load} ${arrangement} ${batchModel}`;
  const fresh = new Set(figures.map(idOf));
  const known = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { figures: Figures[] }).figures : [];
  const all = [...known.filter((one) => !fresh.has(idOf(one))), ...figures].sort((a, b) => a.load - b.load);
  mkdirSync(RESULTS, { recursive: true });
  const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, kernel: release() };
  writeFileSync(path, `${JSON.stringify({ ...conditions, ...machine, figures: all }, null, 2)}\n`);
  writeFileSync(join(RESULTS, 'mixed.svg'), chartOf(all));
}
