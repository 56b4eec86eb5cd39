import { overloaded } from '@app/worker-pool';

/** Share of the sums that stays when a request is added, so that recent requests weigh most. */
const KEPT = 15 / 16;
/** Share of the time for its answer that a request may be expected to wait before it is tokenized. */
const WAIT_SHARE_MAX = 1 / 8;

/** Predicted from the bytes of bodies: how long preparing them keeps others waiting, their items, the workers' work in ns. */
export interface Ahead {
  readonly waitMs: number;
  readonly items: number;
  readonly workNs: number;
}
export const NOTHING: Ahead = { waitMs: 0, items: 0, workNs: 0 };

/** One request whose body is there and is being parsed and tokenized. */
export interface Preparing extends Ahead {
  /** Bodies of one kind take about as long for each byte. */
  readonly kind: string;
  readonly bytes: number;
}

/** Sums over recent requests. */
interface Experience {
  ms: number;
  bytes: number;
  items: number;
}

/**
 * Bounds the live requests that are parsed and tokenized, and knows what they will add to the queues: their number, and
 * the time until the last of them is done, predicted from the bytes of their bodies and from how fast others were. Full is
 * an answer: `overloaded` with the time to wait. Callers of the event loop only.
 */
export class Preparation {
  private readonly preparing = new Set<Preparing>();
  private readonly experience = new Map<string, Experience>();
  private total: Ahead = NOTHING;
  private lastChangeMs = 0;

  constructor(
    private readonly requestsMax: number,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** What is prepared now. */
  ahead(): Ahead {
    return this.total;
  }

  /** Refuses a request with `timeoutMs` for its answer that would wait `waitMs` before it is prepared. */
  checkRoom(waitMs: number, timeoutMs: number): void {
    const { size } = this.preparing;
    const excessMs = waitMs - timeoutMs * WAIT_SHARE_MAX;
    if (size < this.requestsMax && excessMs <= 0) return;
    const retryMs = Math.max(excessMs, this.total.waitMs / Math.max(1, size));
    throw overloaded(`${size} requests are being read and tokenized before this one`, retryMs);
  }

  /** Counts a request whose body has been read until `leave`. */
  enter(kind: string, bytes: number, workNs: number): Preparing {
    const { ms, bytes: knownBytes, items } = this.experience.get(kind) ?? { ms: 0, bytes: 0, items: 0 };
    const share = knownBytes === 0 ? 0 : bytes / knownBytes;
    const request = { kind, bytes, waitMs: ms * share, items: items * share, workNs };
    if (this.preparing.size === 0) this.lastChangeMs = this.nowMs();
    this.preparing.add(request);
    this.add(request, 1);
    return request;
  }

  /** `items`: what came of it; null: it was refused and says nothing about the others. */
  leave(request: Preparing, items: number | null): void {
    if (!this.preparing.delete(request)) return;
    this.add(request, -1);
    if (this.preparing.size === 0) this.total = NOTHING; // no rounding errors stay
    const nowMs = this.nowMs();
    if (items !== null) this.learn(request, nowMs - this.lastChangeMs, items);
    this.lastChangeMs = nowMs;
  }

  private add({ waitMs, items, workNs }: Ahead, sign: 1 | -1): void {
    const { total } = this;
    this.total = { waitMs: total.waitMs + sign * waitMs, items: total.items + sign * items, workNs: total.workNs + sign * workNs };
  }

  private learn({ kind, bytes }: Preparing, ms: number, items: number): void {
    const known = this.experience.get(kind) ?? { ms: 0, bytes: 0, items: 0 };
    this.experience.set(kind, { ms: known.ms * KEPT + ms, bytes: known.bytes * KEPT + bytes, items: known.items * KEPT + items });
  }
}
