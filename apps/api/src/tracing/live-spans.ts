import type { LiveCall } from '../live/live-call';
import { RunMembers } from './run-members';

const members = new RunMembers();

/**
 * Ends the trace of a live request, once it was answered or given up: its stages become spans, from the times that were taken anyway.
 * `status` as in HTTP.
 */
export function endLiveTrace(live: LiveCall, status: number): void {
  const { trace } = live;
  if (trace === null) return;
  if (trace.traceId !== null) addStages(live);
  trace.end(status, live.errorCode);
}

function addStages({ trace, model, lane, tier, arrivedMs, timing, failedTiming }: LiveCall): void {
  trace?.set({ 'interleave.lane': lane, 'interleave.tier': tier, ...(model !== '' && { 'interleave.model': model }) });
  const known = timing ?? failedTiming;
  if (known === null) return;
  let startedMs = arrivedMs;
  for (const [stage, ms] of known.stages) {
    const isRun = stage === 'run' && known.runRows > 0;
    const attributes = isRun ? { 'interleave.run.rows': known.runRows } : {};
    trace?.part(stage, startedMs, startedMs + ms, attributes, isRun ? (span) => members.join(known.runStartedNs, span) : undefined);
    startedMs += ms;
  }
}
