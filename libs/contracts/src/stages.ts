export const LANES = ['realtime', 'batch'] as const;
export type Lane = (typeof LANES)[number];

/** Where the time of a live request goes, in order: labels of `interleave_stage_seconds`, entries of the `Server-Timing` header. */
const STAGES = ['accept', 'admit', 'tokenize', 'enqueue', 'coalesce', 'run', 'respond'] as const;
export type Stage = (typeof STAGES)[number];
