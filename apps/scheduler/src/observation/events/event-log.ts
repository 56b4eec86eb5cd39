import type { NodeEvent, NodeEventKind, VerdictLevel } from '@app/contracts';
import { NODE_EVENT_KINDS, VERDICT_LEVELS } from '@app/contracts';
import type { LineFile } from '../history/line-file';
import type { NewEvent } from './new-event';

const KEPT_MAX = 1_000;
/** Of one look at the node; what is more is told in one event. */
const AT_ONCE_MAX = 20;
const TEXT_LENGTH_MAX = 500;

/** The newest 1 000 events, in memory and in a file. */
export class EventLog {
  private events: NodeEvent[];
  private lastId: number;

  constructor(
    private readonly file: LineFile,
    private readonly nowMs: () => number = Date.now,
  ) {
    this.events = file.read().filter(isEvent).slice(-KEPT_MAX);
    this.lastId = this.events.reduce((last, { id }) => Math.max(last, id), 0);
  }

  newest(count: number): NodeEvent[] {
    return this.events.slice(-count);
  }

  /** What the given ones become. */
  add(found: readonly NewEvent[]): NodeEvent[] {
    const told = found.slice(0, AT_ONCE_MAX);
    if (found.length > told.length) told.push(more(found.length - told.length));
    const events = told.map((event) => ({ id: ++this.lastId, atMs: this.nowMs(), ...event, text: event.text.slice(0, TEXT_LENGTH_MAX) }));
    this.events = [...this.events, ...events].slice(-KEPT_MAX);
    for (const event of events) this.file.append(event);
    return events;
  }
}

function more(count: number): NewEvent {
  const text = `${count} more things happened at the same time.`;
  return { kind: 'node', level: 'watch', text, meaning: 'They are in the log.', advice: null, subject: null };
}

/** Of a file that anything may have been done to. */
function isEvent(value: unknown): value is NodeEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { id, atMs, kind, level, text, meaning } = value as Partial<Record<keyof NodeEvent, unknown>>;
  return (
    Number.isSafeInteger(id) &&
    typeof atMs === 'number' &&
    NODE_EVENT_KINDS.includes(kind as NodeEventKind) &&
    VERDICT_LEVELS.includes(level as VerdictLevel) &&
    typeof text === 'string' &&
    typeof meaning === 'string'
  );
}
