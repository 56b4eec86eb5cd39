export const LANES = ['realtime', 'batch'] as const;
export type Lane = (typeof LANES)[number];

/** Where the time of a live request goes, in order: labels of `interleave_stage_seconds`, entries of the `Server-Timing` header. */
export type Stage = 'accept' | 'admit' | 'tokenize' | 'enqueue' | 'coalesce' | 'run' | 'respond';
