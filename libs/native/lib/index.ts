export { ChannelError, IllegalStateError } from './errors';
export { WorkerPool, type WorkerPoolOptions } from './worker-pool';
export { startWorker, type StartWorkerOptions, type WorkerHandle, type WorkerModelStats } from './worker';
