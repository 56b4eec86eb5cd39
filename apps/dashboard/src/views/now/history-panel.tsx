import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { NodeEvent, NodeHistory } from '@app/contracts';
import { decimal, duration, percent, text } from '../../format';
import { columnsOf, stacked, type Columns } from '../../live/columns';
import { Chart, type ChartMark, type ChartSeries } from '../../parts/chart';
import { Empty, Panel } from '../../parts/panel';

const HOURS = 24;
/** As often as a point is added to the long history, in ms. */
const REFRESH_MS = 30_000;

type Span = 'recent' | 'day';

export function HistoryPanel({ recent, events }: { recent: NodeHistory; events: readonly NodeEvent[] }): JSX.Element {
  const [span, setSpan] = useState<Span>('recent');
  const day = useDay(span === 'day');
  const history = span === 'day' ? day : recent;
  const marks = useMemo(() => marksOf(events), [events]);
  return (
    <Panel title="History" aside={<SpanSwitch span={span} choose={setSpan} />}>
      {history === null || history.points.length < 2 ? (
        <Empty title={span === 'day' ? 'Reading 24 hours' : 'The first points come in a few seconds'} />
      ) : (
        <Charts history={history} marks={marks} />
      )}
    </Panel>
  );
}

function SpanSwitch({ span, choose }: { span: Span; choose: (span: Span) => void }): JSX.Element {
  return (
    <div class="switch switch-words" role="group" aria-label="Time shown">
      {(
        [
          ['recent', '15 minutes'],
          ['day', '24 hours'],
        ] as const
      ).map(([each, words]) => (
        <button key={each} type="button" aria-pressed={each === span} onClick={() => choose(each)}>
          {words}
        </button>
      ))}
    </div>
  );
}

function Charts({ history, marks }: { history: NodeHistory; marks: ChartMark[] }): JSX.Element {
  const columns = useMemo(() => columnsOf(history), [history]);
  const series = useMemo(() => seriesOf(columns), [columns]);
  const ms = (value: number): string => text(duration(value));
  return (
    <div class="charts">
      <Chart title="Live answer time" times={columns.times} series={series.latency} format={ms} marks={marks} />
      <Chart title="CPU time" times={columns.times} series={series.cpu} format={(share) => text(percent(share))} marks={marks} max={1} />
      <Chart title="Live requests per second" times={columns.times} series={series.requests} format={decimal} marks={marks} />
      <Chart title="Batch rows per second" times={columns.times} series={series.rows} format={decimal} marks={marks} />
    </div>
  );
}

function seriesOf({ of }: Columns): Record<'latency' | 'cpu' | 'requests' | 'rows', ChartSeries[]> {
  const [live = [], batch = [], system = []] = stacked([of('cpuLive'), of('cpuBatch'), of('cpuSystem')]);
  return {
    latency: [
      { label: 'p50', colour: 'system', values: of('liveP50Ms') },
      { label: 'p99', colour: 'live', values: of('liveP99Ms'), width: 2.25 },
      { label: 'goal', colour: 'text', values: of('liveGoalMs'), dashed: true, width: 1 },
    ],
    // The highest first: each is drawn over the one before it.
    cpu: [
      { label: 'all else', colour: 'system', values: system, said: of('cpuSystem'), fill: 'area', width: 0 },
      { label: 'batch', colour: 'batch', values: batch, said: of('cpuBatch'), fill: 'hatched', width: 1 },
      { label: 'live', colour: 'live', values: live, said: of('cpuLive'), fill: 'area', width: 0 },
    ],
    requests: [
      { label: 'answered or refused', colour: 'live', values: of('liveRequestsPerSecond'), width: 2 },
      { label: 'refused', colour: 'bad', values: of('liveRefusedPerSecond'), dashed: true },
    ],
    rows: [{ label: 'rows', colour: 'batch', values: of('batchRowsPerSecond'), width: 2 }],
  };
}

const marksOf = (events: readonly NodeEvent[]): ChartMark[] =>
  events.flatMap(({ atMs, level }) => (level === 'ok' ? [] : [{ atMs, level }]));

/** The long history while it is looked at; null: not read yet. */
function useDay(isWanted: boolean): NodeHistory | null {
  const [day, setDay] = useState<NodeHistory | null>(null);
  useEffect(() => {
    if (!isWanted) return;
    const read = (): void =>
      void fetch(`/dashboard/history?hours=${HOURS}`, { cache: 'no-store' })
        .then(async (response) => response.ok && setDay((await response.json()) as NodeHistory))
        // The connection's state is said on top of the page.
        .catch(() => undefined);
    read();
    const timer = setInterval(read, REFRESH_MS);
    return () => clearInterval(timer);
  }, [isWanted]);
  return day;
}
