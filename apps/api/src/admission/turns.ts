/**
 * Lets few at a time, in order: what all of them finish at once would hold the event loop in one piece. Callers of the
 * event loop only; who waits is bounded by the callers.
 */
export class Turns {
  private readonly waiting: (() => void)[] = [];
  private running = 0;

  constructor(private readonly runningMax: number) {}

  /** Resolves when it is the caller's turn; `end` must follow. */
  async begin(): Promise<void> {
    if (this.running < this.runningMax) this.running++;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** The next one begins in a turn of the event loop of its own. */
  end(): void {
    const next = this.waiting.shift();
    if (next) setImmediate(next);
    else this.running--;
  }
}
