export { ChannelError, IllegalStateError } from './errors';
export { WorkerPool, type WorkerPoolOptions } from './worker-pool';
