import type { JSX } from 'preact';
import type { ModelView, NodeView } from '@app/contracts';
import type { ViewProps } from '../view-props';
import { decimal, duration, percent, text, times } from '../../format';
import { Badge, type Tone } from '../../parts/badge';
import { Meter } from '../../parts/meter';
import { Empty, Panel } from '../../parts/panel';
import { Table } from '../../parts/table';
import { hrefOf } from '../../route';
import { ModelDetail } from './model-detail';

const TONES: Readonly<Record<ModelView['state'], Tone>> = {
  serving: 'ok',
  loading: 'busy',
  unloaded: 'quiet',
  failed: 'bad',
  quarantined: 'bad',
};

const keyOf = ({ name, version }: ModelView): string => `${name}/${version}`;

/** What is served, how much time it takes, and what is wrong with it. */
export function ModelsView({ snapshot: { view }, route, nowMs }: ViewProps): JSX.Element {
  const chosen = view.models.find((model) => keyOf(model) === route.item) ?? busiest(view.models);
  if (view.models.length === 0)
    return (
      <Panel title="Models">
        <Empty title="No model is served">
          Put one into the model folder, or fetch one: <code>interleave models add hf://…</code>
        </Empty>
      </Panel>
    );
  return (
    <>
      <Panel title="Models" note="Shares and rates are of the last minute. Choose a model to see what its runs cost.">
        <Models view={view} chosen={chosen} />
        {view.cut.models > 0 && <p class="soft small">{view.cut.models} more models are not shown.</p>}
      </Panel>
      {chosen !== undefined && (
        <ModelDetail
          key={keyOf(chosen)}
          model={chosen}
          tables={view.costTables.filter(({ model, version }) => model === chosen.name && version === chosen.version)}
          inflation={view.inflation.filter(({ model, version }) => model === chosen.name && version === chosen.version)}
          nowMs={nowMs}
          isAsked={keyOf(chosen) === route.item}
        />
      )}
    </>
  );
}

/** What is wrong goes first, then what takes most of the time. */
function busiest(models: readonly ModelView[]): ModelView | undefined {
  const rank = ({ state, timeShare }: ModelView): number => (TONES[state] === 'bad' ? 2 : 0) + (timeShare ?? 0);
  return [...models].sort((a, b) => rank(b) - rank(a))[0];
}

const laneOf = (model: ModelView, lane: 'realtime' | 'batch') => model.lanes.find((each) => each.lane === lane);

function Models({ view, chosen }: { view: NodeView; chosen: ModelView | undefined }): JSX.Element {
  return (
    <Table
      label="Models"
      rows={view.models}
      keyOf={keyOf}
      isChosen={(model) => model === chosen}
      columns={[
        { head: 'Model', cell: (model) => <ModelName model={model} isChosen={model === chosen} /> },
        { head: 'State', cell: (model) => <ModelState model={model} /> },
        {
          head: 'Executor time',
          cell: ({ name, timeShare }) => (
            <span class="with-meter">
              <Meter share={timeShare} label={`Share of ${name} in the time of all executors`} fill="plain" /> {text(percent(timeShare))}
            </span>
          ),
        },
        { head: 'Live p99', isNumber: true, cell: (model) => <LiveP99 model={model} /> },
        { head: 'Live rows/s', isNumber: true, cell: (model) => decimal(laneOf(model, 'realtime')?.rowsPerSecond ?? null) },
        { head: 'Batch rows/s', isNumber: true, cell: (model) => decimal(laneOf(model, 'batch')?.rowsPerSecond ?? null) },
        { head: 'Padding', isNumber: true, cell: (model) => text(percent(worstOf(model.lanes.map(({ paddingShare }) => paddingShare)))) },
        {
          head: 'Real ÷ predicted',
          isNumber: true,
          cell: (model) => text(times(laneOf(model, 'realtime')?.costRatio?.mean ?? laneOf(model, 'batch')?.costRatio?.mean ?? null)),
        },
      ]}
    />
  );
}

const worstOf = (shares: (number | null)[]): number | null => {
  const known = shares.filter((share) => share !== null);
  return known.length === 0 ? null : Math.max(...known);
};

function ModelName({ model, isChosen }: { model: ModelView; isChosen: boolean }): JSX.Element {
  return (
    <span class="model-name">
      <a href={hrefOf('models', keyOf(model))} aria-current={isChosen ? 'true' : undefined}>
        {model.name}
      </a>{' '}
      <span class="soft">version {model.version}</span>
      {model.labels.map((label) => (
        <span key={label} class="chip">
          {label}
        </span>
      ))}
      {model.canaryPercent !== null && <span class="chip chip-watch">canary {model.canaryPercent} %</span>}
      {model.mirrorPercent !== null && <span class="chip">mirror {model.mirrorPercent} %</span>}
    </span>
  );
}

function ModelState({ model: { state, problem } }: { model: ModelView }): JSX.Element {
  return (
    <>
      <Badge tone={TONES[state]}>{state}</Badge>
      {problem !== null && <span class="sub soft small">{problem}</span>}
    </>
  );
}

function LiveP99({ model }: { model: ModelView }): JSX.Element {
  const p99Ms = laneOf(model, 'realtime')?.p99Ms ?? null;
  const isLate = model.goalMs !== null && p99Ms !== null && p99Ms > model.goalMs;
  return (
    <span class={isLate ? 'tone-bad' : ''}>
      {text(duration(p99Ms))}
      {model.goalMs !== null && <span class="soft"> of {text(duration(model.goalMs))}</span>}
    </span>
  );
}
