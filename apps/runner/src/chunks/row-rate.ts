const WINDOW_MS = 10_000;

/** Rows per second over the last ten seconds. */
export class RowRate {
  private samples: { atMs: number; rows: number }[] = [];

  constructor(private readonly now: () => number = () => performance.now()) {}

  add(rows: number): void {
    this.samples.push({ atMs: this.now(), rows });
    this.forgetOld();
  }

  perSecond(): number {
    this.forgetOld();
    return this.samples.reduce((sum, { rows }) => sum + rows, 0) / (WINDOW_MS / 1000);
  }

  private forgetOld(): void {
    const oldest = this.now() - WINDOW_MS;
    this.samples = this.samples.filter(({ atMs }) => atMs > oldest);
  }
}
