import type { Figures } from './figures';

const WIDTH = 860;
const PANEL_HEIGHT = 250;
const LEFT = 60;
const TOP = 54;
const BAR = 16;
const GROUP_GAP = 26;
const PLOT_HEIGHT = PANEL_HEIGHT - 60;

const COLOURS: Record<Figures['arrangement'], string> = {
  'live alone': '#8a8f98',
  'live alone, awake': '#c5c8ce',
  'static split': '#4c78a8',
  'no priorities': '#e45756',
  Interleave: '#2e8b57',
  'Interleave on all CPUs': '#8fce9f',
  'batch alone': '#000000',
};

interface Panel {
  title: string;
  of: (figures: Figures) => number;
  /** Logarithmic axis. */
  log: boolean;
  format: (value: number) => string;
}

const PANELS: Panel[] = [
  { title: 'live p99, ms, logarithmic', of: ({ live }) => live.p99Ms, log: true, format: (value) => value.toFixed(0) },
  { title: 'CPU busy, %', of: ({ busyShare }) => 100 * busyShare, log: false, format: (value) => value.toFixed(0) },
  { title: 'batch rows/s', of: ({ batchRowsPerSecond }) => batchRowsPerSecond, log: false, format: (value) => value.toFixed(0) },
];

/** Bars of every arrangement, grouped by live load and batch model. */
export function chartOf(all: Figures[]): string {
  const groups = groupsOf(all);
  const height = TOP + PANELS.length * PANEL_HEIGHT;
  const parts = PANELS.map((panel, index) => panelOf(panel, groups, TOP + index * PANEL_HEIGHT));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    legend([...new Set(all.map(({ arrangement }) => arrangement))]),
    ...parts,
    '</svg>\n',
  ].join('\n');
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

function legend(names: Figures['arrangement'][]): string {
  return names
    .map(
      (name, index) =>
        `<rect x="${LEFT + index * 155}" y="14" width="12" height="12" fill="${COLOURS[name]}"/><text x="${LEFT + 17 + index * 155}" y="24">${name}</text>`,
    )
    .join('\n');
}

function panelOf({ title, of, log, format }: Panel, groups: ReturnType<typeof groupsOf>, top: number): string {
  const height = (value: number): number => (log ? Math.log10(Math.max(1, value)) : value);
  const highest = Math.max(...groups.flatMap(({ bars }) => bars.map((bar) => height(of(bar)))), 1e-9);
  const base = top + PLOT_HEIGHT;
  const parts = [
    `<text x="${LEFT}" y="${top - 6}" font-weight="bold">${title}</text>`,
    `<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${base}" y2="${base}" stroke="#999"/>`,
  ];
  let x = LEFT + 6;
  for (const { label, bars } of groups) {
    parts.push(
      `<text x="${x}" y="${base + 16}" font-size="10">${label.replace(', ', `</text><text x="${x}" y="${base + 29}" font-size="10">`)}</text>`,
    );
    for (const bar of bars) {
      const barHeight = ((PLOT_HEIGHT - 20) * height(of(bar))) / highest;
      parts.push(
        `<rect x="${x}" y="${(base - barHeight).toFixed(1)}" width="${BAR}" height="${barHeight.toFixed(1)}" fill="${COLOURS[bar.arrangement]}"/>`,
      );
      parts.push(
        `<text x="${x + BAR / 2}" y="${(base - barHeight - 3).toFixed(1)}" text-anchor="middle" font-size="9">${format(of(bar))}</text>`,
      );
      x += BAR + 4;
    }
    x += GROUP_GAP;
  }
  return parts.join('\n');
}
