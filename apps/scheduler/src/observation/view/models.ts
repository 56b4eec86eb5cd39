import {
  mergingText,
  type CostTable,
  type Lane,
  type ModelLaneView,
  type ModelReport,
  type ModelView,
  type PlacedVersion,
  type RepositoryEvent,
  type WorkerPlan,
  type WorkerProcessStatus,
} from '@app/contracts';
import { rounded, roundedShare } from '../rounded';
import type { CounterWindow } from '../sample/counter-window';
import type { Sample } from '../sample/sample';
import { inMs, paddingShare, ratio } from './lanes';
import { plainFailure, sentenceOf, type PlainFailure } from './plain-failure';
import { variantOf } from './variants';

export const MODELS_MAX = 256;

const DECISIONS: ReadonlySet<RepositoryEvent['kind']> = new Set(['promoted', 'rolled-back']);

/** What a worker says of one version; of the busiest one where a lane has several. */
interface InLane {
  plan: WorkerPlan;
  status: WorkerProcessStatus;
  report: ModelReport;
}

/** By name and version. `modelsDir`: where variants tell of what they were made. */
export function modelViews(sample: Sample, minute: CounterWindow, modelsDir: string): ModelView[] {
  const { versions } = sample.scheduler;
  const allSeconds = versions.flatMap(({ name, version }) => ['realtime', 'batch'].map((lane) => runSeconds(minute, lane, name, version)));
  const executorSeconds = allSeconds.reduce((sum, seconds) => sum + seconds, 0);
  return versions.slice(0, MODELS_MAX).map((placed) => {
    const { name, version } = placed;
    const own = runSeconds(minute, 'realtime', name, version) + runSeconds(minute, 'batch', name, version);
    const timeShare = ratio(own, executorSeconds);
    return {
      name,
      version,
      ...stateOf(sample, placed),
      ...releaseOf(sample, name, version),
      variant: variantOf(modelsDir, name, version),
      timeShare: timeShare === null ? null : roundedShare(timeShare),
      goalMs: goalOf(sample, name, version),
      lanes: inLanes(sample, name, version).map((each) => laneView(each, sample, minute)),
    };
  });
}

export function costTables(sample: Sample): CostTable[] {
  return sample.scheduler.versions.slice(0, MODELS_MAX).flatMap(({ name, version }) =>
    inLanes(sample, name, version).flatMap(({ plan, report }) => {
      const grid = report.cost?.grid ?? null;
      return grid === null ? [] : [{ model: name, version, lane: plan.lane, grid }];
    }),
  );
}

function stateOf(sample: Sample, { name, version, state, reason }: PlacedVersion): { state: ModelView['state'] } & Nullable<PlainFailure> {
  const quarantined = (sample.scheduler.placement.quarantined ?? []).find((each) => each.name === name && each.version === version);
  if (quarantined !== undefined)
    return { state: 'quarantined', ...plainFailure(`In the ${quarantined.lane} lane it is ${quarantined.reason}`) };
  const failed = inLanes(sample, name, version).find(({ report }) => report.state === 'failed');
  const words = reason ?? failed?.report.reason ?? null;
  if (words === null) return { state, problem: null, rawProblem: null };
  return { state: state === 'loading' && failed !== undefined ? 'failed' : state, ...plainFailure(words) };
}

type Nullable<T> = { [Key in keyof T]: T[Key] | null };

/** Whom the version serves, and what came of trying it. */
function releaseOf(
  { scheduler: { releases, events }, api }: Sample,
  name: string,
  version: string,
): Pick<ModelView, 'labels' | 'canaryPercent' | 'mirrorPercent' | 'comparison' | 'decision'> {
  const { labels = {}, canary = null, mirror = null } = releases.find((each) => each.name === name) ?? {};
  const decision = events.findLast((event) => event.model === name && event.version === version && DECISIONS.has(event.kind));
  return {
    labels: Object.keys(labels).filter((label) => labels[label] === version),
    canaryPercent: canary?.version === version ? canary.trafficPercent : null,
    mirrorPercent: mirror?.version === version ? mirror.percent : null,
    comparison: api?.comparisons?.find((each) => each.model === name && each.version === version) ?? null,
    decision: decision === undefined ? null : { atMs: decision.atMs, text: sentenceOf(decision.message) },
  };
}

function laneView({ plan: { lane }, status, report }: InLane, sample: Sample, minute: CounterWindow): ModelLaneView {
  const { name: model, version } = report;
  const labels = { lane, model, version };
  const items = minute.grown('interleave_items_total', labels);
  const duplicates = ratio(minute.grown('interleave_duplicates_total', labels), items);
  const padding = paddingShare(minute, labels);
  return {
    lane,
    state: report.state,
    rowsPerSecond: rounded(minute.perSecond('interleave_run_rows_sum', labels)),
    p99Ms: p99Ms({ lane, model, version }, sample, minute),
    paddingShare: padding === null ? null : roundedShare(padding),
    duplicateShare: duplicates === null ? null : roundedShare(duplicates),
    queueItems: [...sample.workers.values()].reduce(
      (sum, worker) => sum + (worker?.lane === lane ? itemsOf(worker, model, version) : 0),
      0,
    ),
    costRatio: costRatio(minute, labels),
    calibration: status.calibration.findLast((each) => each.name === model && each.version === version)?.state ?? null,
    merging: report.signature === null ? null : mergingText(report.signature),
  };
}

/** Times of requests are counted by model: they are a version's only where no other one of it answered. */
function p99Ms(
  { lane, model, version }: { lane: Lane; model: string; version: string },
  sample: Sample,
  minute: CounterWindow,
): number | null {
  if (lane !== 'realtime' || sample.api === null) return null;
  const others = sample.scheduler.versions.filter((placed) => placed.name === model && placed.version !== version);
  const answered = (other: string): number => minute.grown('interleave_items_total', { lane, model, version: other });
  if (others.some((other) => answered(other.version) > 0)) return null;
  return inMs(minute.quantile('interleave_request_seconds', { lane, model }, 0.99));
}

function costRatio(minute: CounterWindow, labels: { lane: Lane; model: string; version: string }): ModelLaneView['costRatio'] {
  const bucket = 'interleave_cost_ratio_bucket';
  const runs = minute.grown(bucket, { ...labels, le: '+Inf' });
  const mean = ratio(minute.grown('interleave_cost_ratio_sum', labels), runs);
  if (mean === null) return null;
  const bounds = minute.values(bucket, labels, 'le').filter((le) => le !== '+Inf');
  const counted = Math.max(...bounds.map((le) => minute.grown(bucket, { ...labels, le })));
  // A quantile beyond all bounds would be told as the largest of them.
  const p95 = counted < 0.95 * runs ? null : minute.quantile('interleave_cost_ratio', labels, 0.95);
  return { mean: rounded(mean), p95: rounded(p95) };
}

/** At most one for each lane: of several workers the one with the most of its items. */
function inLanes({ scheduler, workers }: Sample, name: string, version: string): InLane[] {
  const found = new Map<Lane, InLane>();
  for (const plan of scheduler.placement.workers) {
    const status = workers.get(plan.id) ?? null;
    const report = status?.models.findLast((each) => each.name === name && each.version === version);
    if (status === null || report === undefined) continue;
    const each = { plan, status, report };
    const other = found.get(plan.lane);
    if (other === undefined || itemsOf(status, name, version) > itemsOf(other.status, name, version)) found.set(plan.lane, each);
  }
  return [...found.values()].sort((a, b) => b.plan.lane.localeCompare(a.plan.lane));
}

const itemsOf = ({ queue }: WorkerProcessStatus, name: string, version: string): number =>
  queue.find((each) => each.name === name && each.version === version)?.waitingItems ?? 0;

const runSeconds = (minute: CounterWindow, lane: string, model: string, version: string): number =>
  minute.grown('interleave_run_seconds_total', { lane, model, version });

function goalOf({ scheduler }: Sample, name: string, version: string): number | null {
  const live = scheduler.placement.workers.filter(({ lane }) => lane === 'realtime').flatMap(({ models }) => models);
  return live.findLast((model) => model.name === name && model.version === version)?.sloMs ?? null;
}
