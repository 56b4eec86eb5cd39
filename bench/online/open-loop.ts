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

  /** Resolves once every request is answered, also after `signal`. `requests` are sent one after the other, over and over. */
  async run(
    requests: Buffer[],
    options: { perSecond: number; durationMs: number; random: SeededRandom; signal?: AbortSignal },
  ): Promise<Outcome[]> {
    const answers: Promise<Outcome>[] = [];
    const startMs = performance.now();
    let dueMs = startMs + gapMs(options);
    while (dueMs < startMs + options.durationMs && options.signal?.aborted !== true) {
      while (dueMs <= performance.now()) {
        answers.push(this.send(requests[answers.length % requests.length] ?? Buffer.alloc(0), dueMs));
        dueMs += gapMs(options);
      }
      await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
    }
    return Promise.all(answers);
  }

  close(): void {
    for (const connection of this.idle) connection.close();
  }

  private async send(request: Buffer, dueMs: number): Promise<Outcome> {
    const connection = await this.connection();
    const sentMs = performance.now();
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
    }
  }

  private async connection(): Promise<HttpConnection> {
    for (;;) {
      const idle = this.idle.pop();
      if (idle !== undefined) return idle;
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
