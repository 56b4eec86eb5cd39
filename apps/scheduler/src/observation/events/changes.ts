import type { NodeChange, NodeEvent } from '@app/contracts';

const WINDOW_MS = 15 * 60_000;
const SHOWN_MAX = 20;

/** What changed in the last 15 minutes, the newest last. Events of one kind and subject are one, with the words of the last. */
export function changesOf(events: readonly NodeEvent[], nowMs: number): NodeChange[] {
  const changes = new Map<string, NodeChange>();
  for (const { id, atMs, kind, level, text, subject } of events) {
    if (atMs <= nowMs - WINDOW_MS) continue;
    const key = `${kind} ${subject ?? text}`;
    const count = (changes.get(key)?.count ?? 0) + 1;
    changes.delete(key);
    changes.set(key, { atMs, level, text, count, eventId: id });
  }
  return [...changes.values()].slice(-SHOWN_MAX);
}
