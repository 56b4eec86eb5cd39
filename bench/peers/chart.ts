import { barChart, type Group, type Panel } from '../support/bar-chart';
import { median } from '../support/statistics';
import type { PeerFigures } from './figures';
import type { PeerResult } from './results';
import { jobOf, openOf } from './table';

const OURS = 'Interleave';
const COLOURS = ['#2e8b57', '#4c78a8', '#e45756', '#f2a65a', '#72b7b2', '#b279a2', '#9d755d', '#8a8f98', '#000000'];

type Of = (figures: PeerFigures) => number | undefined;

const PANELS: { title: string; log: boolean; groups: Record<string, Of> }[] = [
  {
    title: 'answers within 500 ms, per second',
    log: false,
    groups: {
      '32 callers': ({ many }) => many?.inTimePerSecond,
      'open loop, at 1 ×': (figures) => openOf('1')(figures)?.inTimePerSecond,
      'open loop, at 3 ×': (figures) => openOf('3')(figures)?.inTimePerSecond,
      'open loop, at 10 ×': (figures) => openOf('10')(figures)?.inTimePerSecond,
    },
  },
  {
    title: 'live p99, ms, logarithmic',
    log: true,
    groups: {
      alone: ({ mixed }) => mixed?.alone.p99Ms,
      'beside a job, 4 rows at a time': (figures) => jobOf(0)(figures)?.live.p99Ms,
      'beside a job, 32 rows at a time': (figures) => jobOf(1)(figures)?.live.p99Ms,
    },
  },
  {
    title: 'rows of the job, per second',
    log: false,
    groups: {
      '4 rows at a time': (figures) => jobOf(0)(figures)?.jobRowsPerSecond,
      '32 rows at a time': (figures) => jobOf(1)(figures)?.jobRowsPerSecond,
    },
  },
];

/** All servers in each group; Interleave with the median of the runs. */
export function chartOf(results: PeerResult[]): string {
  const names = [OURS, ...results.map(({ title }) => title.split(' ')[0] ?? title)];
  const colourOf = (index: number): string => COLOURS[index % COLOURS.length] ?? '#000000';
  const groupOf = ([label, of]: [string, Of]): Group => {
    const values = [median(results.map(({ interleave }) => of(interleave) ?? NaN)), ...results.map(({ figures }) => of(figures) ?? NaN)];
    return { label, bars: values.map((value, index) => ({ colour: colourOf(index), value: Number.isFinite(value) ? value : 0 })) };
  };
  return barChart({
    legend: Object.fromEntries(names.map((name, index) => [name, colourOf(index)])),
    legendWidth: 98,
    panels: PANELS.map(({ title, log, groups }): Panel => ({
      title,
      log,
      format: (value) => value.toFixed(0),
      groups: Object.entries(groups).map(groupOf),
    })),
  });
}
