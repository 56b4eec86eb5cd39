import type { ActiveBatchView, CpuView, ModelView, NodeEvent, NodeView } from '@app/contracts';
import { CPU_LEGEND, cpuBar, progressBar } from '../charts';
import { tableLines, type Column } from '../columns';
import { milliseconds, number, percent, seconds, timeOfDay, UNKNOWN } from '../numbers';
import { fit, line, span, widthOf, type Line, type Span } from '../styled-text';
import { levelSign, levelStyle } from './head';
import type { Panel } from './panel';

const NOTHING: Line = [];
const BAR_CHARS = { min: 10, max: 40 };
const CPU_COLUMN_CHARS_MIN = 38;
const PROGRESS_CHARS = 16;
const ID_CHARS = 18;
/** From so wide a screen on, ids are whole. */
const WHOLE_IDS_CHARS = 130;
const WHOLE_ID_CHARS = 40;
const NAME_CHARS_MAX = 32;

export function cpuPanel({ cpus, cut }: NodeView, chars: number): Panel {
  const columns = cpus.length > 8 ? Math.max(1, Math.floor((chars + 2) / (CPU_COLUMN_CHARS_MIN + 2))) : 1;
  const width = Math.floor((chars + 2) / columns) - 2;
  const height = Math.ceil(cpus.length / columns);
  const rows = Array.from({ length: height }, (_, row) =>
    Array.from({ length: columns }, (_one, column) => cpus[column * height + row]).flatMap((cpu, column): Line => {
      if (cpu === undefined) return [];
      const cell = cpuCell(cpu, width);
      const isLast = column === columns - 1;
      return isLast ? cell : [...cell, span(' '.repeat(Math.max(0, width - widthOf(cell)) + 2))];
    }),
  );
  return { id: 'cpus', title: `CPUs (${number(cpus.length + cut.cpus)}), last minute`, note: CPU_LEGEND, header: null, rows };
}

function cpuCell({ cpu, shares, partition, class: kind }: CpuView, chars: number): Line {
  const name = span(String(cpu).padStart(4));
  if (shares === null) return [name, span(`  ${UNKNOWN}`, 'soft')];
  const numbers = `  ${percent(shares.live).padStart(5)} ${percent(shares.batch).padStart(5)}`;
  const place = partition === null ? 'no partition' : `${partition} ${kind ?? ''}`;
  const barChars = Math.min(BAR_CHARS.max, Math.max(BAR_CHARS.min, chars - 6 - numbers.length));
  const cell = [name, span('  '), ...cpuBar(shares, barChars), span(numbers)];
  return fit([...cell, span(`  ${place}`, 'soft')], chars);
}

export function modelPanel({ models, cut }: NodeView, chars: number): Panel {
  const { header, lines } = tableLines(MODEL_COLUMNS, models, chars);
  const rows = lines.length > 0 ? lines : [line(span('No model is served. Put one into MODELS_DIR, or load one.', 'soft'))];
  return {
    id: 'models',
    title: `Models (${number(models.length + cut.models)})`,
    note: NOTHING,
    header: lines.length > 0 ? header : null,
    rows,
  };
}

const laneOf = ({ lanes }: ModelView, lane: 'realtime' | 'batch') => lanes.find((one) => one.lane === lane) ?? null;

const MODEL_COLUMNS: readonly Column<ModelView>[] = [
  { title: 'MODEL', rank: 0, charsMax: NAME_CHARS_MAX, cell: ({ name, version }) => `${name} ${version}` },
  { title: 'STATE', rank: 0, cell: ({ state, problem }) => stateSpan(state, problem !== null) },
  { title: 'TIME', rank: 1, isRight: true, cell: ({ timeShare }) => percent(timeShare) },
  { title: 'LIVE ROWS/S', rank: 2, isRight: true, cell: (model) => number(laneOf(model, 'realtime')?.rowsPerSecond ?? null) },
  { title: 'LIVE P99', rank: 1, isRight: true, cell: (model) => milliseconds(laneOf(model, 'realtime')?.p99Ms ?? null) },
  { title: 'BATCH ROWS/S', rank: 2, isRight: true, cell: (model) => number(laneOf(model, 'batch')?.rowsPerSecond ?? null) },
  { title: 'PROBLEM', rank: 3, charsMax: 60, cell: ({ problem }) => span(problem ?? '', 'bad') },
];

function stateSpan(state: string, isBad: boolean): Span {
  return isBad ? span(`■ ${state}`, 'bad') : span(state, state === 'serving' ? 'ok' : 'plain');
}

export function batchPanel({ batches, batchLane, cut }: NodeView, chars: number, chosen: string | null): Panel {
  const { header, lines } = tableLines(batchColumns(chosen, chars >= WHOLE_IDS_CHARS ? WHOLE_ID_CHARS : ID_CHARS), batches, chars);
  const note = line(span(`${number(batchLane.rowsPerSecond)} rows/s`, 'soft'));
  const rows = lines.length > 0 ? lines : [line(span('No batch runs on this node. interleave batch submit <file> starts one.', 'soft'))];
  return {
    id: 'batches',
    title: `Batches (${number(batches.length + cut.batches)})`,
    note,
    header: lines.length > 0 ? header : null,
    rows,
  };
}

const batchColumns = (chosen: string | null, idChars: number): readonly Column<ActiveBatchView>[] => [
  { title: '  BATCH', rank: 0, charsMax: idChars + 2, cell: ({ id }) => (id === chosen ? span(`▸ ${id}`, 'chosen') : span(`  ${id}`)) },
  { title: 'DONE', rank: 0, isRight: true, cell: (batch) => doneSpan(batch) },
  {
    title: '',
    rank: 5,
    cell: (batch) =>
      span(
        progressBar(doneOf(batch) ?? 0, PROGRESS_CHARS)
          .map(({ text }) => text)
          .join(''),
        'batch',
      ),
  },
  { title: 'ROWS', rank: 4, isRight: true, cell: ({ total }) => (total === 0 ? UNKNOWN : number(total)) },
  { title: 'FAILED', rank: 3, isRight: true, cell: ({ failed }) => span(number(failed), failed > 0 ? 'bad' : 'plain') },
  { title: 'ROWS/S', rank: 2, isRight: true, cell: ({ rowsPerSecond }) => number(rowsPerSecond) },
  { title: 'LEFT', rank: 1, isRight: true, cell: ({ secondsLeft }) => seconds(secondsLeft?.expected ?? null) },
  { title: 'BETWEEN', rank: 6, cell: ({ secondsLeft: left }) => (left === null ? '' : `${seconds(left.low)} and ${seconds(left.high)}`) },
  { title: 'MODEL', rank: 7, charsMax: NAME_CHARS_MAX, cell: ({ model }) => model ?? UNKNOWN },
  { title: 'STATUS', rank: 1, charsMax: 48, cell: ({ status, paused }) => (paused === null ? span(status) : span(`▲ ${paused}`, 'watch')) },
];

/** The mark stays where there is no room for the reason. */
const doneSpan = (batch: ActiveBatchView): Span =>
  batch.paused === null ? span(percent(doneOf(batch))) : span(`‖ ${percent(doneOf(batch))}`, 'watch');

const doneOf = ({ total, completed, failed }: ActiveBatchView): number | null => (total === 0 ? null : (completed + failed) / total);

/** The newest first. */
export function eventPanel({ events }: NodeView, chars: number): Panel {
  const rows = events.toReversed().map((event) => eventLine(event, chars));
  return {
    id: 'events',
    title: 'Events',
    note: NOTHING,
    header: null,
    rows: rows.length > 0 ? rows : [line(span('Nothing happened yet.', 'soft'))],
  };
}

function eventLine({ atMs, level, text, advice }: NodeEvent, chars: number): Line {
  const what = [
    span(`${timeOfDay(atMs)}  `, 'soft'),
    levelSign(level),
    span(' '),
    span(text, level === 'ok' ? 'plain' : levelStyle(level)),
  ];
  return fit(advice === null ? what : [...what, span(`  ${advice}`, 'soft')], chars);
}
