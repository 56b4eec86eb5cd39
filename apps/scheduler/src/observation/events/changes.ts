import type { NodeChange, NodeEvent } from '@app/contracts';

const WINDOW_MS = 15 * 60_000;
const SHOWN_MAX = 20;

/** What changed in the last 15 minutes, the newest last. Of events of one kind and subject the last one holds; `count` is how often it happened. */
export function changesOf(events: readonly NodeEvent[], nowMs: number): NodeChange[] {
  const changes = new Map<string, NodeChange>();
  for (const { id, atMs, kind, level, text, subject } of events) {
    if (atMs <= nowMs - WINDOW_MS) continue;
    const key = `${kind} ${subject ?? text}`;
    const before = changes.get(key);
    const count = before?.text === text ? before.count + 1 : 1;
    changes.delete(key);
    changes.set(key, { atMs, level, text, count, eventId: id });
  }
  return [...changes.values()].slice(-SHOWN_MAX);
}
