import { median } from '../support/statistics';
import type { LoadFigures, MixedFigures, PeerFigures } from './figures';
import type { PeerResult } from './results';

interface Column {
  title: string;
  of: (figures: PeerFigures) => number | undefined;
  digits: number;
  /** Of the ratio to Interleave in the same run; absent: without one. */
  better?: 'higher' | 'lower';
}

const ms = (title: string, of: Column['of'], digits = 0): Column => ({ title, of, digits, better: 'lower' });
const rate = (title: string, of: Column['of']): Column => ({ title, of, digits: 0, better: 'higher' });

export const openOf =
  (load: string) =>
  ({ open }: PeerFigures): LoadFigures | undefined =>
    open?.[load];

/** Interleave has one job in the batch lane, and one that goes through the live endpoint behind a gate; the others have scripts. */
export const jobOf =
  (index: number) =>
  ({ mixed }: PeerFigures): MixedFigures | undefined =>
    mixed?.jobs.find(({ job }) => job === 'batch') ?? mixed?.jobs[index];

const TABLES: Record<string, Column[]> = {
  'One caller, start and memory': [
    ms('p50 ms', ({ idle }) => idle?.p50Ms, 1),
    ms('p99 ms', ({ idle }) => idle?.p99Ms, 1),
    ms('first answer, s', ({ firstAnswerMs }) => (firstAnswerMs === undefined ? undefined : firstAnswerMs / 1000), 1),
    ms('memory, MiB', ({ memoryMiB }) => memoryMiB),
  ],
  '32 callers': [
    rate('answers/s', ({ many }) => many?.answeredPerSecond),
    rate('in time/s', ({ many }) => many?.inTimePerSecond),
    ms('p99 ms', ({ many }) => many?.p99Ms),
  ],
  'Open loop, answers in time per second': ['1', '3', '10'].map((load) =>
    rate(`at ${load} ×`, (figures) => openOf(load)(figures)?.inTimePerSecond),
  ),
  'Live requests beside a job': [
    { title: 'live/s', of: ({ mixed }) => mixed?.livePerSecond, digits: 0 },
    ms('alone, p99 ms', ({ mixed }) => mixed?.alone.p99Ms),
    ms('4 at a time: p99 ms', (figures) => jobOf(0)(figures)?.live.p99Ms),
    rate('job rows/s', (figures) => jobOf(0)(figures)?.jobRowsPerSecond),
    ms('32 at a time: p99 ms', (figures) => jobOf(1)(figures)?.live.p99Ms),
    { title: 'live lost, %', of: (figures) => percent(jobOf(1)(figures)?.live.failedShare), digits: 0 },
    rate('job rows/s', (figures) => jobOf(1)(figures)?.jobRowsPerSecond),
  ],
};

const percent = (share: number | undefined): number | undefined => (share === undefined ? undefined : 100 * share);

/**
 * A table for each part, in Markdown. In brackets: how many times as good Interleave was in the same run. Its own row is the median over
 * the rows below.
 */
export function tablesOf(results: PeerResult[]): string {
  const parts = Object.entries(TABLES).map(([title, columns]) => {
    const ours = columns.map(({ of, digits }) => text(oursOf(results, of), digits));
    const rows = results.map(({ title: peer, figures, interleave }) => [
      peer,
      ...columns.map((column) => cell(column, figures, interleave)),
    ]);
    return markdown(title, ['', ...columns.map((column) => column.title)], [['**Interleave**', ...ours], ...rows]);
  });
  return [...parts, jobsTable(results)].join('\n');
}

/** The same live load and rows of the same job on Interleave: in the batch lane, and through its live endpoint by what metrics say. */
function jobsTable(results: PeerResult[]): string {
  const names = results[0]?.interleave.mixed?.jobs.map(({ job }) => job) ?? [];
  const rows = names.map((name) => {
    const of = (value: (figures: MixedFigures) => number) =>
      oursOf(results, ({ mixed }) => mixed?.jobs.filter(({ job }) => job === name).map(value)[0]);
    return [
      name,
      text(
        of(({ live }) => live.p50Ms),
        0,
      ),
      text(
        of(({ live }) => live.p99Ms),
        0,
      ),
      text(
        of((figures) => figures.jobRowsPerSecond),
        0,
      ),
    ];
  });
  return markdown('A job of Interleave', ['', 'live p50 ms', 'live p99 ms', 'job rows/s'], rows);
}

const oursOf = (results: PeerResult[], of: Column['of']): number => median(results.map(({ interleave }) => of(interleave) ?? NaN));

function markdown(title: string, header: string[], rows: string[][]): string {
  const lines = [header, header.map(() => '---'), ...rows];
  return `${title}\n\n${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}\n`;
}

function cell({ of, digits, better }: Column, figures: PeerFigures, interleave: PeerFigures): string {
  const [theirs, ours] = [of(figures) ?? NaN, of(interleave) ?? NaN];
  if (better === undefined) return text(theirs, digits);
  const times = better === 'higher' ? ours / theirs : theirs / ours;
  if (!Number.isFinite(times)) return text(theirs, digits);
  return `${text(theirs, digits)} (${times < 100 ? times.toPrecision(2) : times.toFixed(0)})`;
}

const text = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '–');
