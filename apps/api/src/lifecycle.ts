/** Whether this process still takes part. Both are final. */
export class Lifecycle {
  private isDraining = false;
  private isRefusing = false;

  /** Health says not ready. */
  get draining(): boolean {
    return this.isDraining;
  }

  /** New requests are refused; those in flight finish. */
  get refusing(): boolean {
    return this.isRefusing;
  }

  /** Time passes until `end`, so that whoever balances looks elsewhere; requests are answered as before. */
  drain(): void {
    this.isDraining = true;
  }

  /** After notice, new requests have another node to go to, and are refused. Without, the next process of this node takes those on new connections. */
  end(): void {
    this.isRefusing = this.isDraining;
    this.isDraining = true;
  }
}
