import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clock, UNKNOWN } from '../format';
import { colourOf, hatch, useThemeKey, type ColourName } from './colours';

export interface ChartSeries {
  label: string;
  colour: ColourName;
  values: (number | null)[];
  dashed?: boolean;
  width?: number;
  /** `area`: down to zero. `hatched`: the same in the batch lane's stripes. */
  fill?: 'area' | 'hatched';
  /** For the legend; null: what is drawn is not what is said, and `values` are. */
  said?: (number | null)[];
}

/** A moment to be marked on the time axis, as when a worker died. */
export interface ChartMark {
  atMs: number;
  level: 'watch' | 'bad';
}

interface ChartProps {
  title: string;
  /** Seconds since 1970, in order. */
  times: number[];
  /** Drawn in this order, later ones over earlier ones. */
  series: ChartSeries[];
  format: (value: number) => string;
  marks?: ChartMark[];
  /** Else as high as the highest value. */
  max?: number;
  height?: number;
}

const SYNC = uPlot.sync('interleave');
/** Steps of the arrow keys, as a part of the whole width. */
const KEY_STEP = 1 / 60;

/** A time series. All charts of a view share one cursor, which the arrow keys move too. */
export function Chart({ title, times, series, format, marks = [], max, height = 150 }: ChartProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const drawnMarks = useRef<ChartMark[]>(marks);
  drawnMarks.current = marks;
  const [at, setAt] = useState<number | null>(null);
  const theme = useThemeKey();
  const shape = series.map(({ label }) => label).join();
  const data = useMemo(() => [times, ...series.map(({ values }) => values)] as uPlot.AlignedData, [times, series]);

  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const width = (): number => Math.max(200, element.clientWidth);
    const made = new uPlot(optionsOf({ series, format, max, height, width: width(), setAt, marks: drawnMarks }), data, element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: width(), height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, theme, height, max]);
  useEffect(() => plot.current?.setData(data), [data]);

  const index = at !== null && at < times.length ? at : times.length - 1;
  const said = series.map(({ label, colour, values, said: spoken, dashed, fill }) => {
    const value = (spoken ?? values)[index] ?? null;
    return { label, colour, dashed, fill, text: value === null ? UNKNOWN : format(value) };
  });
  const summary = said.map(({ label, text }) => `${label} ${text}`).join(', ');
  const move = (event: KeyboardEvent): void => moveCursor(event, plot.current);
  return (
    <figure class="chart">
      <figcaption class="chart-head">
        <h3>{title}</h3>
        <span class="chart-at soft small">{at !== null && times[index] !== undefined ? clock(times[index] * 1_000) : 'now'}</span>
      </figcaption>
      <ul class="legend chart-legend">
        {said.map(({ label, colour, dashed, fill, text }) => (
          <li key={label}>
            <span
              class={`swatch ${fill === undefined ? 'swatch-line' : ''} ${dashed ? 'swatch-dashed' : ''} swatch-${colour}`}
              aria-hidden="true"
            />
            {label} <strong>{text}</strong>
          </li>
        ))}
      </ul>
      <div
        class="chart-plot"
        ref={host}
        role="img"
        tabIndex={0}
        aria-label={`${title}: ${summary}. The arrow keys move through time.`}
        style={{ height: `${height}px` }}
        onKeyDown={move}
        onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
      />
    </figure>
  );
}

function moveCursor(event: KeyboardEvent, plot: uPlot | null): void {
  const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (plot === null || direction === undefined) return;
  event.preventDefault();
  const width = plot.over.clientWidth;
  const from = (plot.cursor.left ?? -1) < 0 ? width : (plot.cursor.left ?? width);
  plot.setCursor({ left: Math.min(width - 1, Math.max(0, from + direction * width * KEY_STEP)), top: 1 });
}

interface OptionsInput extends Pick<ChartProps, 'series' | 'format' | 'max'> {
  height: number;
  width: number;
  setAt: (index: number | null) => void;
  marks: { current: ChartMark[] };
}

function optionsOf({ series, format, max, height, width, setAt, marks }: OptionsInput): uPlot.Options {
  const axis = { stroke: colourOf('soft'), font: '11px Inter, system-ui, sans-serif', ticks: { show: false } };
  const grid = { stroke: colourOf('line'), width: 1 };
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 20, 0, 0],
    cursor: { sync: { key: SYNC.key, setSeries: false }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { range: (_plot, _min, highest) => [0, max ?? roomAbove(highest)] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 70,
        size: 24,
        values: (_plot, splits) => timesOf(splits),
      },
      { ...axis, grid, size: 52, gap: 4, space: 34, values: (_plot, splits) => splits.map((split) => format(split)) },
    ],
    series: [{}, ...series.map(seriesOptions)],
    hooks: {
      setCursor: [({ cursor }) => setAt(cursor.left !== undefined && cursor.left >= 0 ? (cursor.idx ?? null) : null)],
      draw: [(plot) => drawMarks(plot, marks.current)],
    },
  };
}

/** With seconds where minutes would repeat. */
function timesOf(splits: number[]): string[] {
  const [first = 0, second = first + 60] = splits;
  return splits.map((split) => clock(split * 1_000).slice(0, second - first < 60 ? 8 : 5));
}

/** Never flat: a line without any values has an axis too. */
const roomAbove = (highest: number | null): number => (highest === null || highest <= 0 ? 1 : highest * 1.12);

function seriesOptions({ label, colour, dashed, width, fill }: ChartSeries): uPlot.Series {
  const stroke = colourOf(colour);
  return {
    label,
    stroke,
    width: width ?? 1.75,
    points: { show: false },
    dash: dashed ? [5, 4] : undefined,
    fill: fill === undefined ? undefined : fill === 'area' ? stroke : ({ ctx }) => hatch(ctx, devicePixelRatio) as string,
  };
}

function drawMarks({ ctx, bbox, valToPos, scales }: uPlot, marks: ChartMark[]): void {
  const { min = null, max = null } = scales.x ?? {};
  if (min === null || max === null) return;
  ctx.save();
  for (const { atMs, level } of marks) {
    const seconds = atMs / 1_000;
    if (seconds < min || seconds > max) continue;
    const x = valToPos(seconds, 'x', true);
    ctx.fillStyle = colourOf(level);
    ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
    ctx.beginPath();
    const side = 4 * devicePixelRatio;
    ctx.moveTo(x - side, bbox.top);
    ctx.lineTo(x + side, bbox.top);
    ctx.lineTo(x, bbox.top + side * 1.4);
    ctx.fill();
  }
  ctx.restore();
}
