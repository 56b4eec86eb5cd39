/**
 * The words of the request path: folder names, span names and metric labels all use them, spelled like this.
 */
export const LANES = ['realtime', 'batch'] as const;
export type Lane = (typeof LANES)[number];

const STAGES = ['accept', 'admit', 'tokenize', 'enqueue', 'coalesce', 'run', 'respond'] as const;
export type Stage = (typeof STAGES)[number];
