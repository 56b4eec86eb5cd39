/** Files that are being copied change all the time; those that did not change for this long count as they are. */
export const SETTLE_MS = 500;

/** Tells what stays as it is from what still changes. */
export class Settling {
  private readonly seen = new Map<string, { value: string; sinceMs: number }>();

  /** Something changes, or did a moment ago: it has to be looked at again. */
  get isPending(): boolean {
    return this.seen.size > 0;
  }

  /** Whether `value` was seen at a look before, long enough ago, and nothing else since. */
  isSettled(key: string, value: string, nowMs: number): boolean {
    const seen = this.seen.get(key);
    if (seen?.value !== value) this.seen.set(key, { value, sinceMs: nowMs });
    else if (nowMs - seen.sinceMs >= SETTLE_MS) return this.seen.delete(key);
    return false;
  }

  /** What is no more there, and was not known before, is nothing to wait for. */
  keepOnly(isThere: (key: string) => boolean): void {
    for (const key of this.seen.keys()) if (!isThere(key)) this.seen.delete(key);
  }

  /** It is as it is known to be. */
  forget(key: string): void {
    this.seen.delete(key);
  }
}
