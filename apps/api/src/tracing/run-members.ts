import type { Span, SpanContext } from '@app/telemetry';

/** Runs that are remembered, the newest: the members of one are answered within milliseconds of each other. */
const RUNS_MAX = 1024;
/** Members of one run that others are linked with. */
const MEMBERS_MAX = 16;

/** Links the spans of requests that were answered by one run: each with those that were told before it. */
export class RunMembers {
  private readonly runs = new Map<number, SpanContext[]>();

  /** `startedNs`: as `ItemTiming.startedNs`, which tells runs apart. */
  join(startedNs: number, span: Span): void {
    if (startedNs === 0) return;
    const members = this.runs.get(startedNs) ?? [];
    for (const context of members) span.addLink({ context });
    if (members.length < MEMBERS_MAX) members.push(span.spanContext());
    this.runs.set(startedNs, members);
    if (this.runs.size > RUNS_MAX) this.runs.delete(this.runs.keys().next().value ?? startedNs);
  }
}
