/** Tenants count as competing until one of them has been alone for so long. */
const ALONE_MS_MIN = 60_000;

/** Whether more than one tenant sends requests. Where one does, nothing needs to be shared. */
export class Competition {
  private tenant: string | null = null;
  private lastMs = 0;
  /** When another one than `tenant` was last seen. */
  private otherMs = -Infinity;

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  /** Call with the tenant of each request. */
  see(tenant: string): void {
    if (this.tenant !== null && this.tenant !== tenant) this.otherMs = this.lastMs;
    this.tenant = tenant;
    this.lastMs = this.nowMs();
  }

  /** As things are. */
  get isOn(): boolean {
    return this.nowMs() - this.otherMs < ALONE_MS_MIN;
  }

  /** Were a request of this tenant to come now. */
  with(tenant: string): boolean {
    const otherMs = this.tenant === null || this.tenant === tenant ? this.otherMs : this.lastMs;
    return this.nowMs() - otherMs < ALONE_MS_MIN;
  }
}
