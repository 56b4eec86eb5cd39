const WIDTH = 860;
const PANEL_HEIGHT = 250;
const LEFT = 60;
const TOP = 54;
const BAR = 16;
const GROUP_GAP = 26;
const PLOT_HEIGHT = PANEL_HEIGHT - 60;

export interface Group {
  /** A comma begins its second line. */
  label: string;
  bars: { colour: string; value: number }[];
}

export interface Panel {
  title: string;
  /** Logarithmic axis. */
  log: boolean;
  format: (value: number) => string;
  groups: Group[];
}

export interface BarChart {
  /** Colours by name. */
  legend: Record<string, string>;
  legendWidth: number;
  panels: Panel[];
}

/** An SVG picture: panels below one another, each with groups of bars. */
export function barChart({ legend, legendWidth, panels }: BarChart): string {
  const height = TOP + panels.length * PANEL_HEIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ` +
      'font-family="sans-serif" font-size="11">',
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    legendOf(legend, legendWidth),
    ...panels.map((panel, index) => panelOf(panel, TOP + index * PANEL_HEIGHT)),
    '</svg>\n',
  ].join('\n');
}

function legendOf(legend: Record<string, string>, width: number): string {
  return Object.entries(legend)
    .map(
      ([name, colour], index) =>
        `<rect x="${LEFT + index * width}" y="14" width="12" height="12" fill="${colour}"/>` +
        `<text x="${LEFT + 17 + index * width}" y="24">${name}</text>`,
    )
    .join('\n');
}

function panelOf({ title, log, format, groups }: Panel, top: number): string {
  const height = (value: number): number => (log ? Math.log10(Math.max(1, value)) : value);
  const highest = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => height(value))), 1e-9);
  const base = top + PLOT_HEIGHT;
  const parts = [
    `<text x="${LEFT}" y="${top - 6}" font-weight="bold">${title}</text>`,
    `<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${base}" y2="${base}" stroke="#999"/>`,
  ];
  let x = LEFT + 6;
  for (const { label, bars } of groups) {
    const secondLine = `</text><text x="${x}" y="${base + 29}" font-size="10">`;
    parts.push(`<text x="${x}" y="${base + 16}" font-size="10">${label.replace(', ', secondLine)}</text>`);
    for (const { colour, value } of bars) {
      const barHeight = ((PLOT_HEIGHT - 20) * height(value)) / highest;
      parts.push(`<rect x="${x}" y="${(base - barHeight).toFixed(1)}" width="${BAR}" height="${barHeight.toFixed(1)}" fill="${colour}"/>`);
      parts.push(
        `<text x="${x + BAR / 2}" y="${(base - barHeight - 3).toFixed(1)}" text-anchor="middle" font-size="9">${format(value)}</text>`,
      );
      x += BAR + 4;
    }
    x += GROUP_GAP;
  }
  return parts.join('\n');
}
