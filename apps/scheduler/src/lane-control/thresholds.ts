/** Thresholds of the SLO controller; see docs/decisions/0016. Slack is (goal − p99) ÷ goal. */

/** Below it the goal is missed: no batch executors for a while. */
export const SLACK_MISSED = 0;
/** Below it the batch lane makes a step back: runs half as long, one executor fewer. */
export const SLACK_TIGHT = 0.1;
/** Above it for `RECOVERY_MS` the batch lane gets one step back. */
export const SLACK_AMPLE = 0.3;
export const RECOVERY_MS = 30_000;

/** Without batch executors; doubled each time until the lane is at its full width again, so that it swings ever more slowly. */
export const PAUSE_MS = 5000;
export const PAUSE_MS_MAX = 40_000;
/** Between two steps of a tight lane: what the first one did must be seen. */
export const SETTLE_MS = 2000;
/** 100 ms ÷ 2⁴: shorter runs cost throughput and no longer help those who wait. */
export const HALVINGS_MAX = 4;
/** Longest predicted run of the batch lane, as in src/coalesce/coalescer.h. */
export const BATCH_RUN_MS_MAX = 100;

/** Only the newest answers are judged: at most this many, and none older than this. */
export const JUDGED_ANSWERS_MAX = 1000;
export const JUDGED_MS_MAX = 30_000;
/** Fewer say nothing about a p99. */
export const JUDGED_ANSWERS_MIN = 50;

export const SLOT_MS = 1000;
/** What the live inflation is taken from. */
export const INFLATION_WINDOW_MS = 600_000;
export const INFLATION_ANSWERS_MIN = 200;

export const TICK_MS = 500;
/** Limits that the scheduler has not renewed for this long are void: without it the batch lane is free. */
export const LIMITS_VALID_MS = 3000;
