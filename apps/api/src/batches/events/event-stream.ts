import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { isTerminal, type BatchView } from '@app/batches';

const LOOK_MS = 1_000;
const HEARTBEAT_LOOKS = 15;
const ID_CHARS = 16;

/** What tells two states of a batch apart: its status and a hash of all of it. */
export function eventId(view: BatchView): string {
  return `${view.status}-${createHash('sha256').update(JSON.stringify(view)).digest('hex').slice(0, ID_CHARS)}`;
}

/**
 * One caller's stream of events about one batch. Each event has the whole batch, so whoever reads slowly, or comes back, gets the
 * newest state and misses nothing that still holds.
 *
 * | state | left by |
 * |---|---|
 * | open | the event of a batch that is over, `end`, the caller goes or may not listen any more → closed |
 * | closed | – |
 */
export class EventStream {
  private looks = 0;
  private readonly timer: NodeJS.Timeout;

  /** `lastId`: of the last event that the caller has; "": none. `mayListen` rejects when the caller's key opens no door any more. */
  constructor(
    private readonly response: ServerResponse,
    private lastId: string,
    mayListen: () => Promise<void>,
  ) {
    this.timer = setInterval(() => {
      mayListen().catch(() => this.end());
      if (++this.looks % HEARTBEAT_LOOKS === 0 && !this.response.writableNeedDrain) this.response.write(': still here\n\n');
    }, LOOK_MS).unref();
    response.once('close', () => clearInterval(this.timer));
  }

  tell(view: BatchView): void {
    const id = eventId(view);
    if (id === this.lastId || this.response.writableEnded || this.response.writableNeedDrain) return;
    const name = this.lastId.startsWith(`${view.status}-`) ? 'progress' : view.status;
    this.lastId = id;
    this.response.write(`id: ${id}\nevent: batch.${name}\ndata: ${JSON.stringify(view)}\n\n`);
    if (isTerminal(view.status)) this.end();
  }

  end(): void {
    clearInterval(this.timer);
    this.response.end();
  }
}
