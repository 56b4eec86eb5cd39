import { createHash } from 'node:crypto';
import { isTerminal, type BatchView } from '@app/batches';
import type { EventStream } from '../../http/event-stream';

const ID_CHARS = 16;

/** What tells two states of a batch apart: its status and a hash of all of it. */
export function eventId(view: BatchView): string {
  return `${view.status}-${createHash('sha256').update(JSON.stringify(view)).digest('hex').slice(0, ID_CHARS)}`;
}

/**
 * Events about one batch, until it is over. Each has the whole batch, so whoever reads slowly, or comes back, gets the newest state and
 * misses nothing that still holds.
 */
export class BatchStream {
  /** `lastId`: of the last event that the caller has; "": none. */
  constructor(
    private readonly stream: EventStream,
    private lastId: string,
  ) {}

  tell(view: BatchView): void {
    const id = eventId(view);
    if (id === this.lastId || this.stream.isOver || this.stream.isBehind) return;
    const name = this.lastId.startsWith(`${view.status}-`) ? 'progress' : view.status;
    this.lastId = id;
    this.stream.write(`id: ${id}\nevent: batch.${name}\ndata: ${JSON.stringify(view)}\n\n`);
    if (isTerminal(view.status)) this.stream.end();
  }
}
