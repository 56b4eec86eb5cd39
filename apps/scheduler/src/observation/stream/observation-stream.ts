import type { ServerResponse } from 'node:http';
import type { HistoryPoint, NodeDelta, NodeEvent, NodeHistory, NodeSnapshot, NodeView } from '@app/contracts';

/** API processes, and whoever may open the socket. */
const READERS_MAX = 16;
/** A reader that has not taken so much is cut off. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024;

/**
 * The node as it is seen, for the other processes: one snapshot for each that comes, then what changes. Messages have numbers, which
 * begin anew with each scheduler; `epoch` tells them apart.
 */
export class ObservationStream {
  private readonly readers = new Set<ServerResponse>();
  private readonly epoch = Date.now().toString(36);
  private number = 0;
  private current: NodeView | null = null;
  private readonly parts = new Map<string, string>();

  /** `history`: of the last 15 minutes. */
  constructor(private readonly history: () => NodeHistory) {}

  /** Null: nothing was seen yet. */
  get view(): NodeView | null {
    return this.current;
  }

  /** Takes a response over. */
  open(response: ServerResponse): void {
    if (this.readers.size >= READERS_MAX) {
      response.writeHead(503).end(JSON.stringify({ error: `expected at most ${READERS_MAX} readers of the observation` }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    this.readers.add(response);
    response.once('close', () => this.readers.delete(response));
    if (this.current !== null) response.write(this.snapshot(this.current));
  }

  /** `events`, `point`: the new ones, which the view and the history have already. */
  show(view: NodeView, events: readonly NodeEvent[], point: HistoryPoint): void {
    const isFirst = this.current === null;
    this.current = view;
    this.number++;
    const changed = this.changedParts(view);
    const delta: NodeDelta = { view: changed, events: [...events], points: [point] };
    const block = isFirst ? this.snapshot(view) : this.block('delta', delta);
    for (const reader of this.readers) {
      if (reader.writableLength > BACKLOG_BYTES_MAX) reader.destroy();
      else reader.write(block);
    }
  }

  close(): void {
    for (const reader of this.readers) reader.end();
  }

  private snapshot(view: NodeView): string {
    return this.block('snapshot', { view, history: this.history() } satisfies NodeSnapshot);
  }

  private block(event: string, data: object): string {
    return `id: ${this.epoch}-${this.number}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  }

  private changedParts({ events: _events, ...parts }: NodeView): NodeDelta['view'] {
    const changed = Object.entries(parts).filter(([name, part]) => {
      const text = JSON.stringify(part);
      const isChanged = this.parts.get(name) !== text;
      this.parts.set(name, text);
      return isChanged;
    });
    return Object.fromEntries(changed);
  }
}
