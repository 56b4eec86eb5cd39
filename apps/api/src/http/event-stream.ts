import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

const LOOK_MS = 1_000;
/** Each look, once the caller has closed its side: one that is gone is found out by what is written to it (`half-open.ts`). */
const HEARTBEAT_LOOKS = 15;

/**
 * One caller's stream of server-sent events.
 *
 * | state | left by |
 * |---|---|
 * | open | `end`, the caller goes or may not listen any more → closed |
 * | closed | – |
 */
export class EventStream {
  private looks = 0;
  private readonly timer: NodeJS.Timeout;
  private readonly response: ServerResponse;

  /** Takes the reply over. `mayListen` rejects when the caller's key opens no door any more. */
  constructor(reply: FastifyReply, mayListen: () => Promise<void>) {
    this.response = reply.raw;
    reply.hijack();
    this.response.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx would hold events back.
      'x-accel-buffering': 'no',
    });
    this.response.flushHeaders();
    this.timer = setInterval(() => {
      mayListen().catch(() => this.end());
      const isDue = ++this.looks % HEARTBEAT_LOOKS === 0 || this.response.req.socket.readableEnded;
      if (isDue && !this.isBehind) this.response.write(': still here\n\n');
    }, LOOK_MS).unref();
    this.onClose(() => clearInterval(this.timer));
  }

  get isOver(): boolean {
    return this.response.writableEnded || this.response.destroyed;
  }

  /** The caller has not taken what was written. */
  get isBehind(): boolean {
    return this.response.writableNeedDrain;
  }

  /** What the caller has not taken. */
  get backlogBytes(): number {
    return this.response.writableLength;
  }

  /** At once where the caller has gone already: no `close` comes then. */
  onClose(listener: () => void): void {
    if (this.response.destroyed) listener();
    else this.response.once('close', listener);
  }

  /** Whole lines, with the empty one after each event. */
  write(block: string): void {
    if (!this.isOver) this.response.write(block);
  }

  end(): void {
    clearInterval(this.timer);
    this.response.end();
  }

  /** At once, whatever the caller has not taken. */
  cutOff(): void {
    clearInterval(this.timer);
    this.response.destroy();
  }
}
