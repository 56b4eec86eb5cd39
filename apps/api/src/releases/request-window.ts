/** A window moves by so small a part of it. */
const SLOTS = 24;
/** Latencies are kept to 3 %. */
const GROWTH = Math.log(1.03);
const MS_MIN = 0.05;
const BUCKETS = 1 + Math.ceil(Math.log(3_600_000 / MS_MIN) / GROWTH);
/** Bodies up to 256 bytes, and four times as long each; the last one has all longer ones. */
const SIZES = 7;
const SMALLEST_BYTES = 256;

/** How long answers took, as counts by bucket. */
export type Latencies = Uint32Array;

/** What happened in a window. */
export interface WindowTotals {
  /** Answered, or failed by a fault of ours. */
  requests: number;
  errors: number;
  /** Compared rows. */
  rows: number;
  agreeing: number;
  /** Of requests that were answered, by the size class of their bodies; null: there were none. */
  latencies: (Latencies | null)[];
}

interface Slot extends WindowTotals {
  /** Which one it is since the start of the clock. */
  number: number;
}

const NOTHING = (): WindowTotals => ({ requests: 0, errors: 0, rows: 0, agreeing: 0, latencies: new Array<null>(SIZES).fill(null) });

/** Counts the requests of the last `windowMs`, give or take a part in 24. Some 15 KB for each size class that comes. */
export class RequestWindow {
  private slots: Slot[] = [];
  private readonly slotMs: number;

  constructor(windowMs: number) {
    this.slotMs = windowMs / SLOTS;
  }

  /** `bodyBytes`: long bodies take longer, and are compared with long ones. */
  answered(nowMs: number, latencyMs: number, bodyBytes: number): void {
    const slot = this.slotAt(nowMs);
    slot.requests += 1;
    const size = sizeOf(bodyBytes);
    const latencies = (slot.latencies[size] ??= new Uint32Array(BUCKETS));
    const bucket = bucketOf(latencyMs);
    latencies[bucket] = (latencies[bucket] as number) + 1;
  }

  failed(nowMs: number): void {
    const slot = this.slotAt(nowMs);
    slot.requests += 1;
    slot.errors += 1;
  }

  compared(nowMs: number, rows: number, agreeing: number): void {
    const slot = this.slotAt(nowMs);
    slot.rows += rows;
    slot.agreeing += agreeing;
  }

  totals(nowMs: number): WindowTotals {
    this.forget(nowMs);
    const sum = NOTHING();
    for (const slot of this.slots) addTo(sum, slot);
    return sum;
  }

  private slotAt(nowMs: number): Slot {
    const number = Math.floor(nowMs / this.slotMs);
    const last = this.slots.at(-1);
    if (last !== undefined && last.number >= number) return last;
    this.forget(nowMs);
    const slot = { ...NOTHING(), number };
    this.slots.push(slot);
    return slot;
  }

  private forget(nowMs: number): void {
    const oldest = Math.floor(nowMs / this.slotMs) - SLOTS + 1;
    if ((this.slots[0]?.number ?? oldest) < oldest) this.slots = this.slots.filter(({ number }) => number >= oldest);
  }
}

function addTo(sum: WindowTotals, slot: WindowTotals): void {
  sum.requests += slot.requests;
  sum.errors += slot.errors;
  sum.rows += slot.rows;
  sum.agreeing += slot.agreeing;
  slot.latencies.forEach((latencies, size) => {
    if (latencies !== null) sum.latencies[size] = addLatencies(sum.latencies[size] ?? new Uint32Array(BUCKETS), latencies);
  });
}

/** To the first, which is returned. */
function addLatencies(sum: Latencies, latencies: Latencies): Latencies {
  for (let bucket = 0; bucket < BUCKETS; bucket++) sum[bucket] = (sum[bucket] as number) + (latencies[bucket] as number);
  return sum;
}

const sizeOf = (bodyBytes: number): number =>
  Math.max(0, Math.min(SIZES - 1, Math.ceil(Math.log(Math.max(1, bodyBytes) / SMALLEST_BYTES) / Math.log(4))));

const bucketOf = (ms: number): number => Math.max(0, Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / MS_MIN) / GROWTH)));

/** The largest value of each bucket. */
const UPPER_MS = Float64Array.from({ length: BUCKETS }, (_, bucket) => MS_MIN * Math.exp(bucket * GROWTH));

export function countOf(latencies: Latencies | null): number {
  return latencies === null ? 0 : countFrom(latencies, 0);
}

function countFrom(latencies: Latencies, first: number): number {
  let sum = 0;
  for (let bucket = first; bucket < BUCKETS; bucket++) sum += latencies[bucket] as number;
  return sum;
}

/** The least value, to 3 %, that at most `above` of them exceed; 0 where there are none. */
export function valueBelow(latencies: Latencies, above: number): number {
  let left = above;
  for (let bucket = BUCKETS - 1; bucket >= 0; bucket--) {
    left -= latencies[bucket] as number;
    if (left < 0) return UPPER_MS[bucket] as number;
  }
  return 0;
}

/** How many took longer than `ms`, for certain. */
export function countAbove(latencies: Latencies, ms: number): number {
  const first = UPPER_MS.findIndex((upperMs) => upperMs >= ms);
  return first < 0 ? 0 : countFrom(latencies, first + 1);
}

/** Over all sizes; null: nothing was answered. */
export function quantileMs({ latencies }: WindowTotals, q: number): number | null {
  const all = new Uint32Array(BUCKETS);
  for (const each of latencies) if (each !== null) addLatencies(all, each);
  const count = countOf(all);
  return count === 0 ? null : valueBelow(all, Math.floor(count * (1 - q)));
}
