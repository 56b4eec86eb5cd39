export * from './bull';
export * from './deadline';
export * from './redis-address';
