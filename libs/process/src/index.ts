export * from './crash-count';
export * from './log-level';
export * from './on-shutdown';
export { PlacementError, readPlacement, writePlacement } from './placement-file';
export { openPlacement, PlacementReader } from './placement-reader';
export * from './process-status';
