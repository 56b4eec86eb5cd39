import type { Counts } from './counted';

interface Known {
  incarnation: number | null;
  counts: Counts;
}

/**
 * What all processes of the node have counted since this began to look. Never goes down: a process that was started again goes on
 * where the one before ended, and one that does not answer has what it had. What a process counted before the first look is not told.
 */
export class NodeCounts {
  readonly total: Counts = new Map();
  private readonly processes = new Map<string, Known>();

  /** `incarnation`: tells a process from the one before it with this name, such as its pid; null: not known, taken for the same. */
  add(processId: string, incarnation: number | null, counts: Counts): void {
    const known = this.processes.get(processId);
    const now = { incarnation: incarnation ?? known?.incarnation ?? null, counts };
    this.processes.set(processId, now);
    for (const [key, value] of counts) this.total.set(key, (this.total.get(key) ?? 0) + grownBy(known, now, key, value));
  }

  /** For processes that are no longer part of the node. */
  keepOnly(processIds: ReadonlySet<string>): void {
    for (const id of this.processes.keys()) if (!processIds.has(id)) this.processes.delete(id);
  }
}

/** A counter that went down was begun anew. */
function grownBy(known: Known | undefined, { incarnation }: Known, key: string, value: number): number {
  if (known === undefined) return 0;
  const isOther = known.incarnation !== null && known.incarnation !== incarnation;
  const before = isOther ? 0 : (known.counts.get(key) ?? 0);
  return value >= before ? value - before : value;
}
