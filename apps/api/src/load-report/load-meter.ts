/** What a node says of its load; see docs/decisions/0034. Rates are averages over the last seconds. */
export interface LoadReport {
  /** Answers per second. Never 0. */
  rps: number;
  /** Refusals and failures per second. */
  eps: number;
  /** Busy share of the live executors, 0 to 1. */
  utilization: number;
  /** Predicted work that waits for the live executors, divided by them. */
  backlogMs: number;
  /** What balancers divide `rps` by. Never 0. */
  load: number;
}

/** What is read of the live lane. */
export interface LiveLane {
  /** Executor time of all answers so far. */
  ranMs(): number;
  backlogMs(): number;
  executors(): number;
}

/** Time constant of the averages: long enough for a few dozen answers, short enough for a node that is slowed. */
const AVERAGE_MS = 3_000;
/** One report serves all answers of so long. */
const READ_MS_MIN = 50;
/** An answer that ran nothing costs this too: without it, a node that answers from its cache would look free and get all requests. */
const ANSWER_MS = 0.2;
/** Work for so long that waits counts as much as executors that are all busy. */
const BACKLOG_MS = 100;
/** Proxies divide by it and round to whole numbers: requests a second and kilo-executors leave three more digits. */
const KILO = 1_000;
/** Slower than one answer in so long says nothing. */
const RPS_MIN = 0.001;

/** Follows the live lane from answer to answer; has no timer. */
export class LoadMeter {
  private readMs: number;
  private readRanMs: number;
  private answers = 0;
  private errors = 0;
  private average = { answersPerMs: 0, errorsPerMs: 0, busy: 0, backlogMs: 0 };

  constructor(
    private readonly lane: LiveLane,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.readMs = nowMs();
    this.readRanMs = lane.ranMs();
  }

  /** `status` as in HTTP. What the caller did wrong counts as nothing. */
  answered(status: number): void {
    if (status < 400) this.answers++;
    else if (status === 429 || status >= 500) this.errors++;
  }

  /** Null: nothing was answered for long, so there is nothing to divide by. */
  report(): LoadReport | null {
    this.read();
    const { answersPerMs, errorsPerMs, busy, backlogMs } = this.average;
    const rps = answersPerMs * 1000;
    if (rps < RPS_MIN) return null;
    const perExecutor = (answersPerMs * ANSWER_MS) / Math.max(1, this.lane.executors());
    return {
      rps,
      eps: errorsPerMs * 1000,
      utilization: Math.min(1, busy),
      backlogMs,
      load: (busy + perExecutor + backlogMs / BACKLOG_MS) / KILO,
    };
  }

  private read(): void {
    const nowMs = this.nowMs();
    const elapsedMs = nowMs - this.readMs;
    if (elapsedMs < READ_MS_MIN) return;
    const ranMs = this.lane.ranMs();
    const share = 1 - Math.exp(-elapsedMs / AVERAGE_MS);
    const towards = (average: number, now: number): number => average + share * (now - average);
    const { answersPerMs, errorsPerMs, busy, backlogMs } = this.average;
    this.average = {
      answersPerMs: towards(answersPerMs, this.answers / elapsedMs),
      errorsPerMs: towards(errorsPerMs, this.errors / elapsedMs),
      busy: towards(busy, (ranMs - this.readRanMs) / elapsedMs / Math.max(1, this.lane.executors())),
      backlogMs: towards(backlogMs, this.lane.backlogMs()),
    };
    this.readMs = nowMs;
    this.readRanMs = ranMs;
    this.answers = 0;
    this.errors = 0;
  }
}
