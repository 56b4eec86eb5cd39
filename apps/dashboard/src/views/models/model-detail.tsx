import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { CostTable, InflationStatus, Lane, ModelComparison, ModelLaneView, ModelView } from '@app/contracts';
import { ago, count, decimal, duration, percent, text, times } from '../../format';
import { Badge, LaneMark } from '../../parts/badge';
import { Empty, Panel } from '../../parts/panel';
import { Table } from '../../parts/table';
import { CostMap } from './cost-map';

interface ModelDetailProps {
  model: ModelView;
  tables: CostTable[];
  inflation: InflationStatus[];
  nowMs: number;
  /** It was chosen, in a list that may be longer than the window: what is said of it comes into view. */
  isAsked: boolean;
}

export function ModelDetail({ model, tables, inflation, nowMs, isAsked }: ModelDetailProps): JSX.Element {
  const detail = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (isAsked) detail.current?.firstElementChild?.scrollIntoView({ block: 'nearest' });
  }, [isAsked]);
  return (
    <div class="model-detail" ref={detail}>
      <Panel title={`${model.name}, version ${model.version}`}>
        {model.problem !== null && <Problem model={model} />}
        <Facts model={model} inflation={inflation} nowMs={nowMs} />
        {model.lanes.length > 0 && <Lanes model={model} />}
        {model.comparison !== null && <Comparison comparison={model.comparison} />}
      </Panel>
      {model.lanes.length > 0 && <Costs tables={tables} />}
    </div>
  );
}

function Problem({ model: { problem, rawProblem } }: { model: ModelView }): JSX.Element {
  return (
    <div class="problem">
      <p>{problem}</p>
      {rawProblem !== null && (
        <details>
          <summary>The whole message</summary>
          <pre tabIndex={0}>{rawProblem}</pre>
        </details>
      )}
    </div>
  );
}

function Facts({ model, inflation, nowMs }: { model: ModelView; inflation: InflationStatus[]; nowMs: number }): JSX.Element | null {
  const facts: [string, string][] = [];
  if (model.variant !== null)
    facts.push([
      'Made by interleave optimize',
      `${model.variant.kind} of ${model.variant.madeFrom}${model.variant.speedup === null ? '' : `, ${decimal(model.variant.speedup)} times as fast`}`,
    ]);
  for (const { worker, inflation: ratio } of inflation)
    if (ratio !== null) facts.push([`Beside batches, in ${worker}`, `answers take ${text(times(ratio))} as long`]);
  if (model.decision !== null) facts.push(['Last decision', `${model.decision.text}, ${ago(model.decision.atMs, nowMs)}`]);
  if (facts.length === 0) return null;
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt class="soft">{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Lanes({ model }: { model: ModelView }): JSX.Element {
  return (
    <Table
      label={`Lanes of ${model.name}`}
      rows={model.lanes}
      keyOf={({ lane }) => lane}
      columns={[
        {
          head: 'Lane',
          cell: ({ lane }: ModelLaneView) => (
            <span class="process-name">
              <LaneMark lane={lane === 'realtime' ? 'live' : 'batch'} />
              {laneName(lane)}
            </span>
          ),
        },
        {
          head: 'State',
          cell: ({ state }) => <Badge tone={state === 'ready' ? 'ok' : state === 'failed' ? 'bad' : 'busy'}>{state}</Badge>,
        },
        { head: 'Rows/s', isNumber: true, cell: ({ rowsPerSecond }) => decimal(rowsPerSecond) },
        { head: 'Waiting', isNumber: true, cell: ({ queueItems }) => count(queueItems) },
        { head: 'Padding', isNumber: true, cell: ({ paddingShare }) => text(percent(paddingShare)) },
        { head: 'Duplicates', isNumber: true, cell: ({ duplicateShare }) => text(percent(duplicateShare)) },
        {
          head: 'Real ÷ predicted',
          isNumber: true,
          cell: ({ costRatio }) => costRatioText(costRatio),
        },
        { head: 'Costs', cell: ({ calibration }) => calibration ?? '–' },
        { head: 'Shared runs', cell: ({ merging }) => <span class="sub-wide">{merging ?? '–'}</span> },
      ]}
    />
  );
}

function costRatioText(costRatio: ModelLaneView['costRatio']): string {
  if (costRatio === null) return '–';
  const { mean, p95 } = costRatio;
  return `${text(times(mean))}, ${p95 === null ? 'more than 5 % of the runs far above' : `95 % below ${text(times(p95))}`}`;
}

const laneName = (lane: Lane): string => (lane === 'realtime' ? 'Live' : 'Batch');

/** Whether a version that is tried answers as the stable one does. */
function Comparison({ comparison }: { comparison: ModelComparison }): JSX.Element {
  const { stable, role, rows, agreeing, labelFlips, cosineMin, timeRatio, canary } = comparison;
  const facts: [string, string][] = [
    ['Answers that agree', `${text(percent(rows === 0 ? null : agreeing / rows))} of ${count(rows)} rows`],
    ['Other labels', count(labelFlips)],
    ['Least cosine', cosineMin === null ? '–' : cosineMin.toFixed(4)],
    ['Executor time', timeRatio === null ? '–' : `${text(times(timeRatio))} that of version ${stable}`],
  ];
  if (canary !== null)
    facts.push(
      ['p99', `${text(duration(canary.p99Ms))}, stable ${text(duration(canary.stableP99Ms))}`],
      ['Errors', `${count(canary.errors)} of ${count(canary.requests)}`],
    );
  return (
    <section class="comparison" aria-label={`Compared with version ${stable}`}>
      <h3>
        Compared with version {stable}{' '}
        <span class="soft">
          as{' '}
          {role === 'canary'
            ? 'a canary: it answers a part of the requests'
            : 'a mirror: it runs a part of the requests again, its answers go to nobody'}
        </span>
      </h3>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt class="soft">{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Costs({ tables }: { tables: CostTable[] }): JSX.Element {
  const [lane, setLane] = useState<Lane | null>(null);
  const shown = tables.find((table) => table.lane === lane) ?? tables[0];
  const choice =
    tables.length < 2 ? undefined : (
      <div class="switch switch-words" role="group" aria-label="Lane shown">
        {tables.map((table) => (
          <button key={table.lane} type="button" aria-pressed={table === shown} onClick={() => setLane(table.lane)}>
            {laneName(table.lane)}
          </button>
        ))}
      </div>
    );
  return (
    <Panel
      title="What a run costs"
      aside={choice}
      note="Measured time of one run, by how many rows share it and how long they are. Pale cells are cheap for each row; in the full colour a row takes four times as long as in the palest cell of its line."
    >
      {shown === undefined ? (
        <Empty title="Not measured yet">Costs are measured while CPUs are idle, soon after a model is loaded.</Empty>
      ) : (
        <CostMap grid={shown.grid} />
      )}
    </Panel>
  );
}
