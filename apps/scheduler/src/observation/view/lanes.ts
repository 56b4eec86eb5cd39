import { ERRORS, LANES, type ErrorCode, type Lane, type LaneView, type WorkerPlan } from '@app/contracts';
import { rounded } from '../rounded';
import type { CounterWindow } from '../sample/counter-window';
import type { Sample } from '../sample/sample';

/** The node had no room, no worker or no time; other codes are the caller's, or a fault of a run. */
const REFUSALS: ReadonlySet<string> = new Set(
  (Object.keys(ERRORS) as ErrorCode[]).filter((code) => [429, 503, 504, 507].includes(ERRORS[code].status)),
);
/** Fewer answers of a model in a minute say nothing about its p99. */
const JUDGED_ANSWERS_MIN = 20;

export interface LaneWindows {
  seconds: CounterWindow;
  minute: CounterWindow;
}

/** What the API counts of live requests. */
type Requests = Pick<
  LaneView,
  'requestsPerSecond' | 'p50Ms' | 'p95Ms' | 'p99Ms' | 'refusedPerSecond' | 'errorsPerSecond' | 'minute' | 'goal'
>;

const NOT_COUNTED: Requests = {
  ...{ requestsPerSecond: null, p50Ms: null, p95Ms: null, p99Ms: null, refusedPerSecond: null, errorsPerSecond: null },
  ...{ minute: null, goal: null },
};

export function laneViews(sample: Sample, windows: LaneWindows): LaneView[] {
  const { seconds } = windows;
  return LANES.map((lane) => {
    return {
      lane,
      rowsPerSecond: rounded(seconds.perSecond('interleave_run_rows_sum', { lane })),
      rowsPerRun: rounded(ratio(seconds.grown('interleave_run_rows_sum', { lane }), seconds.grown('interleave_run_rows_count', { lane }))),
      ...(sample.api === null ? NOT_COUNTED : requestsOf(lane, windows, sample.scheduler.placement.workers)),
      queueItems: queueItemsOf(sample, lane),
      ...(lane === 'realtime' ? liveQueue(sample) : batchQueue(sample)),
      paddingShare: rounded(paddingShare(seconds, { lane })),
    };
  });
}

function requestsOf(lane: Lane, { seconds, minute }: LaneWindows, workers: readonly WorkerPlan[]): Requests {
  const quantileMs = (window: CounterWindow, q: number): number | null => inMs(window.quantile('interleave_request_seconds', { lane }, q));
  const { refused, errors } = errorsOf(seconds, lane);
  return {
    requestsPerSecond: rounded(seconds.perSecond('interleave_requests_total', { lane })),
    p50Ms: quantileMs(seconds, 0.5),
    p95Ms: quantileMs(seconds, 0.95),
    p99Ms: quantileMs(seconds, 0.99),
    refusedPerSecond: rounded(seconds.seconds > 0 ? refused / seconds.seconds : null),
    errorsPerSecond: rounded(seconds.seconds > 0 ? errors / seconds.seconds : null),
    minute: {
      requests: minute.grown('interleave_requests_total', { lane }),
      p99Ms: quantileMs(minute, 0.99),
      refused: errorsOf(minute, lane).refused,
      overShare: minute.grown('interleave_tenant_refused_total', { lane }),
    },
    goal: lane === 'realtime' ? nearestGoal(workers, minute) : null,
  };
}

/** Of the padding and the tokens of rows that were run. */
export function paddingShare(window: CounterWindow, labels: Record<string, string>): number | null {
  const [real, padded] = ['real', 'padded'].map((kind) => window.grown('interleave_tokens_total', { ...labels, kind }));
  return ratio(padded ?? 0, (real ?? 0) + (padded ?? 0));
}

export const ratio = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);

export const inMs = (seconds: number | null): number | null => (seconds === null ? null : rounded(seconds * 1000));

/** The goal of each live model, by name: of several versions the strictest. */
function goalsOf(workers: readonly WorkerPlan[]): Map<string, number> {
  const goals = new Map<string, number>();
  for (const { name, sloMs } of workers.filter(({ lane }) => lane === 'realtime').flatMap(({ models }) => models))
    if (sloMs !== null) goals.set(name, Math.min(sloMs, goals.get(name) ?? Infinity));
  return goals;
}

function nearestGoal(workers: readonly WorkerPlan[], minute: CounterWindow): LaneView['goal'] {
  const judged = [...goalsOf(workers)].flatMap(([model, goalMs]) => {
    const labels = { lane: 'realtime', model };
    if (minute.grown('interleave_request_seconds_bucket', { ...labels, le: '+Inf' }) < JUDGED_ANSWERS_MIN) return [];
    const p99Ms = inMs(minute.quantile('interleave_request_seconds', labels, 0.99));
    return p99Ms === null ? [] : [{ model, goalMs, p99Ms }];
  });
  return judged.sort((a, b) => b.p99Ms / b.goalMs - a.p99Ms / a.goalMs)[0] ?? null;
}

function errorsOf(window: CounterWindow, lane: Lane): { refused: number; errors: number } {
  const counted = { refused: 0, errors: 0 };
  for (const reason of window.values('interleave_refused_total', { lane }, 'reason'))
    counted[REFUSALS.has(reason) ? 'refused' : 'errors'] += window.grown('interleave_refused_total', { lane, reason });
  return counted;
}

const queueItemsOf = ({ workers }: Sample, lane: Lane): number =>
  [...workers.values()]
    .filter((worker) => worker?.lane === lane)
    .reduce((sum, worker) => sum + (worker?.queue ?? []).reduce((items, { waitingItems }) => items + waitingItems, 0), 0);

type Queue = Pick<LaneView, 'queueMs' | 'queueMsIsLeast'>;

/** As the API predicts it for those that it admits. */
const liveQueue = ({ metrics }: Sample): Queue => ({ queueMs: rounded(metrics.max('interleave_live_backlog_ms')), queueMsIsLeast: false });

/** As the batches themselves predict it. */
function batchQueue({ runner }: Sample): Queue {
  if (runner?.batches.length === 0) return { queueMs: 0, queueMsIsLeast: false };
  const open = (runner?.batches ?? []).filter(({ paused }) => paused === null);
  const seconds = open.map(({ secondsLeft }) => secondsLeft).filter((left) => left !== null);
  if (seconds.length === 0) return { queueMs: null, queueMsIsLeast: false };
  return { queueMs: Math.max(...seconds) * 1_000, queueMsIsLeast: seconds.length < open.length };
}
