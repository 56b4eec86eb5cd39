import { barChart } from '../support/bar-chart';
import type { Figures } from './figures';

const COLOURS: Record<Figures['arrangement'], string> = {
  'live alone': '#8a8f98',
  'live alone, awake': '#c5c8ce',
  'static split': '#4c78a8',
  'no priorities': '#e45756',
  Interleave: '#2e8b57',
  'Interleave on all CPUs': '#8fce9f',
  'batch alone': '#000000',
};

interface Measure {
  title: string;
  of: (figures: Figures) => number;
  log: boolean;
  format: (value: number) => string;
}

const MEASURES: Measure[] = [
  { title: 'live p99, ms, logarithmic', of: ({ live }) => live.p99Ms, log: true, format: (value) => value.toFixed(0) },
  { title: 'CPU busy, %', of: ({ busyShare }) => 100 * busyShare, log: false, format: (value) => value.toFixed(0) },
  { title: 'batch rows/s', of: ({ batchRowsPerSecond }) => batchRowsPerSecond, log: false, format: (value) => value.toFixed(0) },
];

/** Bars of every arrangement, grouped by live load and batch model. */
export function chartOf(all: Figures[]): string {
  const groups = groupsOf(all);
  const names = [...new Set(all.map(({ arrangement }) => arrangement))];
  return barChart({
    legend: Object.fromEntries(names.map((name) => [name, COLOURS[name]])),
    legendWidth: 155,
    panels: MEASURES.map(({ title, of, log, format }) => ({
      title,
      log,
      format,
      groups: groups.map(({ label, bars }) => ({ label, bars: bars.map((bar) => ({ colour: COLOURS[bar.arrangement], value: of(bar) })) })),
    })),
  });
}

/** The live lane alone is drawn in each group of its load. */
function groupsOf(all: Figures[]): { label: string; bars: Figures[] }[] {
  const shared = all.filter(({ batchModel }) => batchModel !== null);
  const keys = [...new Set(shared.map(({ load, batchModel }) => `${load} ${batchModel}`))].sort();
  return keys.map((key) => {
    const bars = shared.filter(({ load, batchModel }) => `${load} ${batchModel}` === key);
    const alone = all.filter(({ arrangement, load }) => arrangement === 'live alone' && load === bars[0]?.load);
    return { label: `live ${100 * (bars[0]?.load ?? 0)} %, batch ${bars[0]?.batchModel ?? ''}`, bars: [...alone, ...bars] };
  });
}
