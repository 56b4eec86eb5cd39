import type { JSX } from 'preact';
import type { LaneView, ModelView, NodeView } from '@app/contracts';
import { duration, perSecond, text, times } from '../../format';
import { LaneMark } from '../../parts/badge';
import { Empty, Panel } from '../../parts/panel';
import { Figure } from '../../parts/figure';
import { Meter } from '../../parts/meter';
import { hrefOf } from '../../route';

const MODELS_SHOWN_MAX = 3;

/** What callers wait for. */
export function LiveLanePanel({ view }: { view: NodeView }): JSX.Element {
  const lane = view.lanes.find((each) => each.lane === 'realtime');
  return (
    <Panel
      class="lane lane-live"
      title="Live"
      aside={<LaneMark lane="live" />}
      note="Requests that somebody waits for. They always go first."
    >
      {lane === undefined ? (
        <Empty title="No live worker is placed">Add a model: interleave models add</Empty>
      ) : (
        <>
          <LiveLane
            lane={lane}
            hasGoal={view.models.some(({ goalMs }) => goalMs !== null)}
            inflation={worst(view.inflation.map(({ inflation }) => inflation))}
          />
          <BusyModels models={view.models} />
        </>
      )}
    </Panel>
  );
}

function LiveLane({ lane, hasGoal, inflation }: { lane: LaneView; hasGoal: boolean; inflation: number | null }): JSX.Element {
  const p99Ms = lane.goal?.p99Ms ?? lane.minute?.p99Ms ?? null;
  const isLate = lane.goal !== null && lane.goal.p99Ms > lane.goal.goalMs;
  return (
    <>
      <div class="lane-main">
        <Figure
          size="huge"
          label="99 of 100 answers of the last minute came within"
          quantity={duration(p99Ms)}
          tone={isLate ? 'bad' : undefined}
          note={goalText(lane, hasGoal)}
        />
        <LatencyScale lane={lane} />
      </div>
      <div class="figures">
        <Figure label="Requests" quantity={perSecond(lane.requestsPerSecond)} />
        <Figure label="Waiting time now" quantity={duration(lane.queueMs)} note={`${lane.queueItems} waiting`} />
        <Figure
          label="Refused"
          quantity={perSecond(lane.refusedPerSecond)}
          tone={(lane.refusedPerSecond ?? 0) > 0 ? 'watch' : undefined}
          note={`${lane.minute?.refused ?? '–'} in the last minute`}
        />
        <Figure
          label="Cost of batches"
          quantity={times(inflation)}
          tone={(inflation ?? 0) > 1.1 ? 'watch' : undefined}
          note={inflationText(inflation)}
        />
      </div>
    </>
  );
}

/** The models that answer most, with how near each is to its goal. */
function BusyModels({ models }: { models: readonly ModelView[] }): JSX.Element | null {
  const busy = models
    .flatMap(({ lanes, ...model }) => lanes.filter(({ lane }) => lane === 'realtime').map((live) => ({ ...model, ...live })))
    .filter(({ rowsPerSecond }) => (rowsPerSecond ?? 0) > 0)
    .sort((a, b) => (b.rowsPerSecond ?? 0) - (a.rowsPerSecond ?? 0))
    .slice(0, MODELS_SHOWN_MAX);
  if (busy.length === 0) return null;
  return (
    <ul class="running" aria-label="Models that answer most">
      {busy.map(({ name, version, p99Ms, goalMs, rowsPerSecond }) => (
        <li key={`${name}/${version}`}>
          <a class="running-name" href={hrefOf('models', `${name}/${version}`)}>
            {name} <span class="running-version">{version}</span>
          </a>
          <Meter share={p99Ms === null || goalMs === null ? null : p99Ms / goalMs} label={`p99 of ${name} as part of its goal`} />
          <span class="running-words small">
            <strong>{text(duration(p99Ms))}</strong>{' '}
            <span class="soft">{goalMs === null ? `p99, ${text(perSecond(rowsPerSecond, ' rows'))}` : `of ${text(duration(goalMs))}`}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}

function goalText({ goal, minute }: LaneView, hasGoal: boolean): string {
  if (goal !== null) return `goal ${text(duration(goal.goalMs))}, model ${goal.model}`;
  if (minute === null) return 'the API does not answer';
  if (minute.requests === 0) return 'no requests in the last minute';
  return hasGoal ? 'too few answers to judge the goal' : 'no goal is set (realtime.sloMs)';
}

function inflationText(inflation: number | null): string {
  if (inflation === null) return 'too few answers to say';
  const more = Math.round((inflation - 1) * 100);
  return more <= 0 ? 'batches slow nothing down' : `answers take ${more} % longer beside batches`;
}

const worst = (ratios: (number | null)[]): number | null => {
  const known = ratios.filter((ratio) => ratio !== null);
  return known.length === 0 ? null : Math.max(...known);
};

/** Half, 95 and 99 of 100 answers of the last 10 s on one line with the goal. */
function LatencyScale({ lane }: { lane: LaneView }): JSX.Element {
  const { p99Ms } = lane;
  const goalMs = lane.goal?.goalMs ?? null;
  const endMs = Math.max((goalMs ?? 0) * 1.15, (p99Ms ?? 0) * 1.15, 1);
  const at = (ms: number): string => `${Math.min(100, (ms / endMs) * 100)}%`;
  const points = [
    { name: 'p50', ms: lane.p50Ms },
    { name: 'p95', ms: lane.p95Ms },
    { name: 'p99', ms: p99Ms },
  ];
  const words = points.map(({ name, ms }) => `${name} ${text(duration(ms))}`).join(', ');
  return (
    <div class={goalMs !== null && p99Ms !== null && p99Ms > goalMs ? 'scale scale-late' : 'scale'}>
      <p class="scale-when soft small">Last 10 seconds</p>
      <div class="scale-track" role="img" aria-label={`${words}${goalMs === null ? '' : `, goal ${text(duration(goalMs))}`}`}>
        {p99Ms !== null && <div class="scale-fill" style={{ width: at(p99Ms) }} />}
        {points.map(({ name, ms }) => ms !== null && <div key={name} class="scale-point" style={{ left: at(ms) }} />)}
        {goalMs !== null && <div class="scale-goal" style={{ left: at(goalMs) }} />}
      </div>
      <dl class="scale-words small">
        {points.map(({ name, ms }) => (
          <div key={name}>
            <dt class="soft">{name}</dt>
            <dd>{text(duration(ms))}</dd>
          </div>
        ))}
        {goalMs !== null && (
          <div class="scale-end">
            <dt class="soft">goal</dt>
            <dd>{text(duration(goalMs))}</dd>
          </div>
        )}
      </dl>
    </div>
  );
}
