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

  /** `incarnation`: tells a process from the one before it with this name, such as its pid; null: not known. */
  add(processId: string, incarnation: number | null, counts: Counts): void {
    const known = this.processes.get(processId);
    this.processes.set(processId, { incarnation, counts });
    for (const [key, value] of counts) this.total.set(key, (this.total.get(key) ?? 0) + grownBy(known, incarnation, key, value));
  }

  /** For processes that are no longer part of the node. */
  keepOnly(processIds: ReadonlySet<string>): void {
    for (const id of this.processes.keys()) if (!processIds.has(id)) this.processes.delete(id);
  }
}

/** A counter that went down was begun anew. */
function grownBy(known: Known | undefined, incarnation: number | null, key: string, value: number): number {
  if (known === undefined) return 0;
  const before = known.incarnation === incarnation ? (known.counts.get(key) ?? 0) : 0;
  return value >= before ? value - before : value;
}
