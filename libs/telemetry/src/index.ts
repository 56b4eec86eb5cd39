export * from './bounded-label';
export * from './event-loop';
export * from './logger';
export * from './process-metrics';
