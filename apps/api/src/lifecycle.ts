/** Whether this process still takes part. `draining` is final: health says not ready, in-flight requests finish. */
export class Lifecycle {
  private isDraining = false;

  get draining(): boolean {
    return this.isDraining;
  }

  drain(): void {
    this.isDraining = true;
  }
}
