/** Reads again and again, one read at a time: a slow node is not asked twice, and no late answer comes after a newer one. */
export class Poll {
  private readonly timer: ReturnType<typeof setInterval>;
  private isReading = false;
  private isOver = false;
  /** Somebody asked while a read was under way, which may not know yet what they did. */
  private isAskedAgain = false;

  /** Reads at once, and then each time that `isDue` says so. `read` does not reject. */
  constructor(
    private readonly read: () => Promise<void>,
    everyMs: number,
    isDue: () => boolean = () => true,
  ) {
    this.timer = setInterval(() => {
      if (!this.isReading && isDue()) void this.run();
    }, everyMs);
    void this.run();
  }

  /** Reads now, or as soon as the read under way has ended. */
  reload(): void {
    if (this.isReading) this.isAskedAgain = true;
    else void this.run();
  }

  stop(): void {
    this.isOver = true;
    clearInterval(this.timer);
  }

  private async run(): Promise<void> {
    this.isReading = true;
    do {
      this.isAskedAgain = false;
      await this.read();
    } while (this.isAskedAgain && !this.isOver);
    this.isReading = false;
  }
}
