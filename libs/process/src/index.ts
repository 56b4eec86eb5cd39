export * from './crash-count';
export * from './process-status';
