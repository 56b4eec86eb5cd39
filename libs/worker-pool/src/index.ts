export { ItemCount } from './admission/item-count';
export { overloaded } from './admission/retry-after';
export { itemExecutorNs } from './shares/executor-time';
export { WorkerPool, type WorkerPoolOptions } from './pool/worker-pool';
