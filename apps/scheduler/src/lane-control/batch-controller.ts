import type { BatchControlState } from '@app/contracts';
import { ServiceCounts } from '@app/native';
import {
  HALVINGS_MAX,
  JUDGED_ANSWERS_MAX,
  JUDGED_ANSWERS_MIN,
  JUDGED_MS_MAX,
  PAUSE_MS,
  PAUSE_MS_MAX,
  RECOVERY_MS,
  SETTLE_MS,
  SLACK_AMPLE,
  SLACK_MISSED,
  SLACK_TIGHT,
} from './thresholds';

/** Live answers of one model in one live worker since the last step. */
export interface LiveObservation {
  /** For messages; tells models apart. */
  model: string;
  /** Goal for the 99th percentile; null: none. */
  sloMs: number | null;
  fresh: ServiceCounts;
}

export interface BatchObservation {
  live: readonly LiveObservation[];
  /** The batch worker ran something since the last step: without that, nothing of it can be at fault. */
  batchIsActive: boolean;
}

interface Reading {
  atMs: number;
  counts: ServiceCounts;
}

export interface Verdict {
  model: string;
  sloMs: number;
  p99Ms: number;
  slack: number;
}

/** State of the controller for one batch worker. */
export interface BatchControl {
  readonly executorsMax: number;
  /** Executors and halvings of the longest run while it is not paused. */
  readonly executors: number;
  readonly halvings: number;
  /** Null: not paused. */
  readonly pausedUntilMs: number | null;
  readonly nextPauseMs: number;
  readonly isUnreachable: boolean;
  /** Answers before it say nothing about what holds now. */
  readonly changedAtMs: number;
  /** Since when slack is ample; null: it is not. */
  readonly ampleSinceMs: number | null;
  readonly readings: Readonly<Record<string, readonly Reading[]>>;
  /** Verdict on the model that is nearest to its goal; null: no goal, or too few answers. */
  readonly verdict: Verdict | null;
  /** Why it was last changed. */
  readonly reason: string | null;
}

export interface BatchCommand {
  executors: number;
  halvings: number;
}

export const freeBatchLane = (executorsMax: number, nowMs: number): BatchControl => ({
  executorsMax,
  executors: executorsMax,
  halvings: 0,
  pausedUntilMs: null,
  nextPauseMs: PAUSE_MS,
  isUnreachable: false,
  changedAtMs: nowMs,
  ampleSinceMs: null,
  readings: {},
  verdict: null,
  reason: null,
});

/** What the batch worker may do now. */
export const commandOf = ({ executors, halvings, pausedUntilMs }: BatchControl): BatchCommand => ({
  executors: pausedUntilMs === null ? executors : 0,
  halvings,
});

export function stateOf(control: BatchControl): BatchControlState {
  if (control.isUnreachable) return 'unreachable';
  if (control.pausedUntilMs !== null) return 'paused';
  return isOpen(control) ? 'open' : 'limited';
}

/** One step of the SLO controller: pure. The reason differs from that of `before` exactly when something was changed. */
export function stepBatchControl(before: BatchControl, observation: BatchObservation, nowMs: number): BatchControl {
  const readings = hasBacklog(before, nowMs) ? {} : keptReadings(before, observation, nowMs);
  const control = { ...before, readings, verdict: worstVerdict(observation.live, readings) };
  if (control.pausedUntilMs !== null) return nowMs < control.pausedUntilMs ? control : afterPause(control, nowMs);
  const slack = control.verdict?.slack ?? null;
  if (slack !== null && slack < SLACK_TIGHT) return narrowed({ ...control, ampleSinceMs: null }, observation, nowMs);
  // Without answers there is nobody to make room for.
  return slack === null || slack > SLACK_AMPLE ? widened(control, nowMs) : { ...control, ampleSinceMs: null };
}

/** Answers at the begin of a pause waited behind batch runs, or ran beside the last of them. */
const hasBacklog = ({ pausedUntilMs, isUnreachable, changedAtMs }: BatchControl, nowMs: number): boolean =>
  pausedUntilMs !== null && !isUnreachable && nowMs - changedAtMs < SETTLE_MS;

const isOpen = ({ executors, executorsMax, halvings }: BatchControl): boolean => executors === executorsMax && halvings === 0;

function narrowed(control: BatchControl, { batchIsActive }: BatchObservation, nowMs: number): BatchControl {
  const { verdict, nextPauseMs, executors, halvings } = control;
  if (verdict === null || !batchIsActive) return control;
  if (verdict.slack < SLACK_MISSED) {
    const paused = { ...control, pausedUntilMs: nowMs + nextPauseMs, nextPauseMs: Math.min(PAUSE_MS_MAX, 2 * nextPauseMs) };
    return changed(paused, nowMs, `${textOf(verdict)}: no batch executors for ${nextPauseMs / 1000} s`);
  }
  if (nowMs - control.changedAtMs < SETTLE_MS || (executors === 1 && halvings === HALVINGS_MAX)) return control;
  const step = { ...control, executors: Math.max(1, executors - 1), halvings: Math.min(HALVINGS_MAX, halvings + 1) };
  return changed(step, nowMs, `${textOf(verdict)}: ${widthText(step)}`);
}

function widened(control: BatchControl, nowMs: number): BatchControl {
  if (isOpen(control)) return { ...control, nextPauseMs: PAUSE_MS };
  const ampleSinceMs = control.ampleSinceMs ?? nowMs;
  if (nowMs - ampleSinceMs < RECOVERY_MS) return { ...control, ampleSinceMs };
  const step = {
    ...control,
    executors: Math.min(control.executorsMax, control.executors + 1),
    halvings: Math.max(0, control.halvings - 1),
    ampleSinceMs: nowMs,
  };
  return changed(step, nowMs, `room for ${RECOVERY_MS / 1000} s: ${widthText(step)}`);
}

/** All answers judged here came while only the floor ran, later than its first moments; another pause has answers of its own. */
function afterPause(control: BatchControl, nowMs: number): BatchControl {
  const { verdict } = control;
  if (verdict !== null && verdict.slack < SLACK_MISSED) {
    const again = { ...control, pausedUntilMs: nowMs + PAUSE_MS, isUnreachable: true, readings: {} };
    if (control.isUnreachable) return again;
    return { ...again, reason: `${textOf(verdict)} even without batch executors: the batch lane keeps its floor` };
  }
  const resumed = {
    ...control,
    pausedUntilMs: null,
    isUnreachable: false,
    ampleSinceMs: null,
    executors: Math.max(1, Math.floor(control.executors / 2)),
    halvings: Math.min(HALVINGS_MAX, control.halvings + 1),
  };
  return changed(resumed, nowMs, `the pause is over: ${widthText(resumed)}`);
}

/** Forgets what live answers were like before. */
function changed(control: BatchControl, nowMs: number, reason: string): BatchControl {
  return { ...control, changedAtMs: nowMs, readings: {}, reason };
}

function keptReadings({ readings }: BatchControl, { live }: BatchObservation, nowMs: number): BatchControl['readings'] {
  return Object.fromEntries(
    live
      .filter(({ sloMs }) => sloMs !== null)
      .map(({ model, fresh }) => [model, newest([{ atMs: nowMs, counts: fresh }, ...(readings[model] ?? [])], nowMs)]),
  );
}

/** Newest first. */
function newest(readings: readonly Reading[], nowMs: number): Reading[] {
  let answers = 0;
  return readings.filter(({ atMs, counts }) => {
    const isKept = counts.total > 0 && answers < JUDGED_ANSWERS_MAX && nowMs - atMs < JUDGED_MS_MAX;
    answers += counts.total;
    return isKept;
  });
}

function worstVerdict(live: readonly LiveObservation[], readings: BatchControl['readings']): Verdict | null {
  const verdicts = live.flatMap(({ model, sloMs }) => {
    const counts = new ServiceCounts();
    for (const reading of readings[model] ?? []) counts.addAll(reading.counts);
    const p99Ms = counts.quantileMs(0.99);
    return sloMs === null || p99Ms === null || counts.total < JUDGED_ANSWERS_MIN
      ? []
      : [{ model, sloMs, p99Ms, slack: (sloMs - p99Ms) / sloMs }];
  });
  return verdicts.sort((a, b) => a.slack - b.slack)[0] ?? null;
}

const textOf = ({ model, p99Ms, sloMs }: Verdict): string => `${model}: p99 ${Number(p99Ms.toPrecision(3))} ms of ${sloMs} ms`;
const widthText = ({ executors, executorsMax, halvings }: BatchControl): string =>
  `${executors} of ${executorsMax} batch executors, runs of 1/${2 ** halvings} of the longest`;
