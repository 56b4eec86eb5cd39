export * from './event-loop';
export * from './logger';
export * from './memory';
