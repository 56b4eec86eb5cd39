import { runPaths, type Config } from '@app/config';
import { withDelta, type NodeAway, type NodeDelta, type NodeSnapshot } from '@app/contracts';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { CONFIG } from '../../tokens';
import type { EventBlock } from './event-blocks';
import { ObservationSource } from './observation-source';

/** Deltas that are kept for those who come back: about two minutes. */
const RING_MAX = 64;
/** For how long the scheduler is listened to after the last one has gone: a page that reloads misses nothing. */
const LINGER_MS = 60_000;

export interface Watcher {
  /** Whole events, to be sent as they are. */
  tell(text: string): void;
  /** There will be no more: this process ends. */
  end(): void;
}

/**
 * Tells all who watch what the scheduler sees: one connection to it for all of them, and none while nobody watches. Keeps the node as it
 * is for those who come, and the last deltas for those who come back.
 */
@Injectable()
export class ObservationRelay implements OnModuleDestroy {
  private readonly watchers = new Set<Watcher>();
  private source: ObservationSource | null = null;
  private lingering: NodeJS.Timeout | null = null;
  private snapshot: { id: string; content: NodeSnapshot } | null = null;
  private away: NodeAway | null = null;
  private ring: EventBlock[] = [];

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /** Until what it returns is called, or the watcher's `end` was. `lastId`: of the last event that it has; "": none. */
  watch(watcher: Watcher, lastId: string): () => void {
    this.watchers.add(watcher);
    if (this.lingering !== null) clearTimeout(this.lingering);
    this.source ??= this.connect();
    for (const text of this.missedSince(lastId)) watcher.tell(text);
    if (this.away !== null) watcher.tell(blockOf('away', this.away));
    return () => this.drop(watcher);
  }

  onModuleDestroy(): void {
    for (const watcher of [...this.watchers]) watcher.end();
    this.disconnect();
  }

  private connect(): ObservationSource {
    return new ObservationSource(runPaths(this.config.runDir).statusSocket('scheduler'), {
      onEvent: (event) => this.take(event),
      onAway: (reason) => this.gone(`the scheduler does not answer: ${reason}`),
    });
  }

  private disconnect(): void {
    if (this.lingering !== null) clearTimeout(this.lingering);
    this.source?.close();
    this.source = null;
    this.snapshot = null;
    this.away = null;
    this.ring = [];
  }

  private take(event: EventBlock): void {
    this.away = null;
    if (event.event === 'snapshot') {
      this.snapshot = { id: event.id, content: JSON.parse(event.data) as NodeSnapshot };
      this.ring = [];
    } else if (event.event === 'delta' && this.snapshot !== null) {
      this.snapshot = { id: event.id, content: withDelta(this.snapshot.content, JSON.parse(event.data) as NodeDelta) };
      this.ring = [...this.ring.slice(1 - RING_MAX), event];
    }
    for (const watcher of [...this.watchers]) watcher.tell(event.text);
  }

  private gone(reason: string): void {
    this.away = { sinceMs: Date.now(), reason };
    for (const watcher of [...this.watchers]) watcher.tell(blockOf('away', this.away));
  }

  /** Empty: it has all, or there is nothing yet. */
  private missedSince(lastId: string): string[] {
    if (this.snapshot === null || lastId === this.snapshot.id) return [];
    const known = this.ring.findIndex(({ id }) => id === lastId);
    if (known >= 0) return this.ring.slice(known + 1).map(({ text }) => text);
    return [`id: ${this.snapshot.id}\n${blockOf('snapshot', this.snapshot.content)}`];
  }

  private drop(watcher: Watcher): void {
    this.watchers.delete(watcher);
    if (this.watchers.size > 0 || this.source === null) return;
    this.lingering = setTimeout(() => this.disconnect(), LINGER_MS).unref();
  }
}

const blockOf = (event: string, data: object): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
