export * from './batches';
export * from './errors';
export * from './float16';
export * from './inference';
export * from './models';
export * from './placement';
export * from './stages';
export * from './tensors';
