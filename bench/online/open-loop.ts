import { HttpConnection } from '../support/http-connection';
import type { SeededRandom } from '../../test/support/tensors';

/** What became of one request. Latency in ms from when it was due, so that a late send counts against the server. */
export interface Outcome {
  status: number;
  /** On the clock of `performance.now`. */
  dueMs: number;
  latencyMs: number;
  /** From when it was sent. */
  serviceMs: number;
}

/** Idle connections are used again; more than this are never opened, then requests wait for one. */
const CONNECTIONS_MAX = 1024;

/** Sends requests at the times of a Poisson process, whatever became of the earlier ones. */
export class OpenLoop {
  private readonly idle: HttpConnection[] = [];
  private opened = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly url: string) {}

  /**
   * Resolves once every request is answered, also after `signal`. `requests` are sent one after the other, over and over. With
   * `giveUpMs` a caller closes its connection so long after its request was due; its status is 0 then.
   */
  async run(
    requests: Buffer[],
    options: { perSecond: number; durationMs: number; random: SeededRandom; signal?: AbortSignal; giveUpMs?: number | null },
  ): Promise<Outcome[]> {
    const giveUpMs = options.giveUpMs ?? Infinity;
    const answers: Promise<Outcome>[] = [];
    const startMs = performance.now();
    let dueMs = startMs + gapMs(options);
    while (dueMs < startMs + options.durationMs && options.signal?.aborted !== true) {
      while (dueMs <= performance.now()) {
        answers.push(this.send(requests[answers.length % requests.length] ?? Buffer.alloc(0), dueMs, giveUpMs));
        dueMs += gapMs(options);
      }
      await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
    }
    return Promise.all(answers);
  }

  close(): void {
    for (const connection of this.idle) connection.close();
  }

  private async send(request: Buffer, dueMs: number, giveUpMs: number): Promise<Outcome> {
    const connection = await this.connection();
    const sentMs = performance.now();
    const leftMs = dueMs + giveUpMs - sentMs;
    const timer = leftMs === Infinity ? undefined : setTimeout(() => connection.abort(), Math.max(0, leftMs));
    const outcome = (status: number): Outcome => ({
      status,
      dueMs,
      latencyMs: performance.now() - dueMs,
      serviceMs: performance.now() - sentMs,
    });
    try {
      const { status, head } = await connection.send(request);
      this.giveBack(/\r\nconnection: close/i.test(head) ? null : connection);
      return outcome(status);
    } catch {
      this.giveBack(null);
      return outcome(0);
    } finally {
      clearTimeout(timer);
    }
  }

  private async connection(): Promise<HttpConnection> {
    for (;;) {
      const idle = this.idle.pop();
      if (idle?.isOpen === true) return idle;
      if (idle !== undefined) this.opened -= 1;
      if (this.opened < CONNECTIONS_MAX) {
        this.opened += 1;
        return HttpConnection.open(this.url);
      }
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  /** Null: it is gone. */
  private giveBack(connection: HttpConnection | null): void {
    if (connection === null) this.opened -= 1;
    else this.idle.push(connection);
    this.waiting.shift()?.();
  }
}

function gapMs({ perSecond, random }: { perSecond: number; random: SeededRandom }): number {
  return (-Math.log(1 - random.next()) * 1000) / perSecond;
}
