import type { LaneView, NodeHistory, NodeView, VerdictLevel } from '@app/contracts';
import { seriesOf, sparkline } from '../charts';
import { tableLines, type Column } from '../columns';
import { milliseconds, number, percent, seconds } from '../numbers';
import { line, span, spread, wrap, type Line, type Span, type Style } from '../styled-text';

const VERDICT_LINES_MAX = 3;
const SPARK_CHARS = 24;
/** Younger data is shown as it is. */
const STALE_MS = 10_000;

/** Whether what is shown is how the node is. */
export type Connection = { kind: 'live' } | { kind: 'away' | 'lost'; sinceMs: number; reason: string };

const SIGNS: Record<VerdictLevel, string> = { ok: '● OK', watch: '▲ WATCH', bad: '■ BAD' };

export const levelStyle = (level: VerdictLevel): Style => level;
export const levelSign = (level: VerdictLevel): Span => span(SIGNS[level].slice(0, 1), levelStyle(level));

export function titleLine({ node, version, atMs }: NodeView, connection: Connection, nowMs: number, chars: number): Line {
  const left = line(span('interleave ', 'soft'), span(node.id, 'strong'), span(`  ${version}, up ${seconds(node.uptimeSeconds)}`, 'soft'));
  return spread(left, line(connectionSpan(connection, nowMs - atMs, nowMs)), chars);
}

function connectionSpan(connection: Connection, ageMs: number, nowMs: number): Span {
  const age = seconds(Math.max(0, ageMs) / 1000);
  if (connection.kind === 'live') return ageMs > STALE_MS ? span(`▲ ${age} old`, 'watch') : span(`live, ${age} old`, 'soft');
  const since = seconds(Math.max(0, nowMs - connection.sinceMs) / 1000);
  return connection.kind === 'away' ? span(`■ the scheduler is away for ${since}`, 'bad') : span(`■ no connection for ${since}`, 'bad');
}

/** In the words of the dashboard. */
export function verdictLines({ verdict }: NodeView, connection: Connection, chars: number): Line[] {
  const style = levelStyle(verdict.level);
  const sign = `${SIGNS[verdict.level]}  `;
  const [first = '', ...others] = wrap(verdict.text, chars - sign.length, VERDICT_LINES_MAX);
  return [
    line(span(sign, style), span(first, 'strong')),
    ...others.map((text) => line(span(' '.repeat(sign.length)), span(text, 'strong'))),
    ...(connection.kind === 'live' ? [] : wrap(connection.reason, chars, 1).map((text) => line(span(text, 'bad')))),
  ];
}

/** Both lanes, a line each, with what they did in the last 15 minutes. */
export function laneLines({ lanes, batchLane }: NodeView, history: NodeHistory | null, chars: number): Line[] {
  const { header, lines } = tableLines(COLUMNS, lanes, chars);
  const charts = lanes.map(({ lane }) =>
    sparkline(seriesOf(history, lane === 'realtime' ? 'liveP99Ms' : 'batchRowsPerSecond'), SPARK_CHARS),
  );
  const width = Math.max(...lines.map((one) => one.reduce((sum, { text }) => sum + text.length, 0)), 0);
  const hasRoom = chars - width >= SPARK_CHARS + 2;
  const used = batchLane.idleShareUsed === null ? '' : ` Batch lane uses ${percent(batchLane.idleShareUsed)} of the idle CPU.`;
  return [
    header,
    ...lines.map((one, at) =>
      hasRoom && charts[at] !== '' ? [...one, span('  '), span(charts[at] ?? '', at === 0 ? 'live' : 'batch')] : one,
    ),
    ...(batchLane.reason === null ? [] : [line(span(`Batch limit: ${batchLane.reason}.${used}`, 'soft'))]),
  ];
}

const COLUMNS: readonly Column<LaneView>[] = [
  { title: 'LANE', rank: 0, cell: ({ lane }) => (lane === 'realtime' ? span('live', 'live') : span('batch', 'batch')) },
  { title: 'REQ/S', rank: 2, isRight: true, cell: ({ requestsPerSecond }) => number(requestsPerSecond) },
  { title: 'ROWS/S', rank: 0, isRight: true, cell: ({ rowsPerSecond }) => number(rowsPerSecond) },
  { title: 'P50', rank: 4, isRight: true, cell: ({ p50Ms }) => milliseconds(p50Ms) },
  { title: 'P95', rank: 5, isRight: true, cell: ({ p95Ms }) => milliseconds(p95Ms) },
  { title: 'P99', rank: 1, isRight: true, cell: (lane) => p99Span(lane) },
  { title: 'GOAL', rank: 3, isRight: true, cell: ({ goal }) => milliseconds(goal?.goalMs ?? null) },
  { title: 'QUEUE', rank: 3, isRight: true, cell: (lane) => queueText(lane) },
  { title: 'REFUSED/S', rank: 2, isRight: true, cell: ({ refusedPerSecond }) => number(refusedPerSecond) },
  { title: 'PADDING', rank: 6, isRight: true, cell: ({ paddingShare }) => percent(paddingShare) },
];

const queueText = ({ queueItems, queueMs, queueMsIsLeast }: LaneView): string =>
  `${number(queueItems)} ${queueMsIsLeast ? '≥' : '='} ${milliseconds(queueMs)}`;

function p99Span({ p99Ms, goal }: LaneView): Span {
  const isLate = goal !== null && goal.p99Ms > goal.goalMs;
  return span(`${isLate ? '!' : ''}${milliseconds(p99Ms)}`, isLate ? 'bad' : 'strong');
}
