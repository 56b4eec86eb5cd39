export * from './crash-count';
export * from './on-shutdown';
export * from './process-status';
