const EVERY_MS = 10_000;

/** Lets one of many equal events through in ten seconds, so that whoever causes them cannot fill a log. */
export class Seldom {
  private atMs = -Infinity;
  private held = 0;

  /** `say` is told how many there were since it was last called. */
  happened(say: (times: number) => void): void {
    this.held += 1;
    const nowMs = performance.now();
    if (nowMs - this.atMs < EVERY_MS) return;
    this.atMs = nowMs;
    say(this.held);
    this.held = 0;
  }
}
