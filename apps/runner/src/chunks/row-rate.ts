const WINDOW_MS_DEFAULT = 10_000;

/** Rows per second over the last seconds: ten, unless said otherwise. */
export class RowRate {
  private samples: { atMs: number; rows: number }[] = [];

  constructor(
    private readonly windowMs = WINDOW_MS_DEFAULT,
    private readonly now: () => number = () => performance.now(),
  ) {}

  add(rows: number): void {
    this.samples.push({ atMs: this.now(), rows });
    this.forgetOld();
  }

  perSecond(): number {
    this.forgetOld();
    return this.samples.reduce((sum, { rows }) => sum + rows, 0) / (this.windowMs / 1000);
  }

  private forgetOld(): void {
    const oldest = this.now() - this.windowMs;
    this.samples = this.samples.filter(({ atMs }) => atMs > oldest);
  }
}
