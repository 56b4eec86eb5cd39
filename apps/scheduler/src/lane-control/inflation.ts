import { ServiceCounts } from '@app/native';
import { INFLATION_ANSWERS_MIN, INFLATION_WINDOW_MS } from './thresholds';

/** Readings are merged until they span this. */
const PART_MS = INFLATION_WINDOW_MS / 60;

interface Part {
  sinceMs: number;
  shared: ServiceCounts;
  alone: ServiceCounts;
}

export interface Inflation {
  /** Null while there are too few answers of one kind. */
  inflation: number | null;
  sharedP99Ms: number | null;
  aloneP99Ms: number | null;
  sharedAnswers: number;
  aloneAnswers: number;
}

/** The live inflation of one model over a sliding window. */
export class InflationWindow {
  private parts: Part[] = [];

  add(shared: ServiceCounts, alone: ServiceCounts, nowMs: number): void {
    this.parts = this.parts.filter(({ sinceMs }) => nowMs - sinceMs < INFLATION_WINDOW_MS);
    let part = this.parts.at(-1);
    if (part === undefined || nowMs - part.sinceMs >= PART_MS) {
      part = { sinceMs: nowMs, shared: new ServiceCounts(), alone: new ServiceCounts() };
      this.parts.push(part);
    }
    part.shared.addAll(shared);
    part.alone.addAll(alone);
  }

  read(): Inflation {
    const [shared, alone] = [new ServiceCounts(), new ServiceCounts()];
    for (const part of this.parts) {
      shared.addAll(part.shared);
      alone.addAll(part.alone);
    }
    const [sharedAnswers, aloneAnswers] = [shared.total, alone.total];
    const sharedP99Ms = sharedAnswers < INFLATION_ANSWERS_MIN ? null : shared.quantileMs(0.99);
    const aloneP99Ms = aloneAnswers < INFLATION_ANSWERS_MIN ? null : alone.quantileMs(0.99);
    const inflation = sharedP99Ms === null || !aloneP99Ms ? null : sharedP99Ms / aloneP99Ms;
    return { inflation, sharedP99Ms, aloneP99Ms, sharedAnswers, aloneAnswers };
  }
}
