export { ItemCount } from './admission/item-count';
export { overloaded, RETRY_AFTER_SECONDS_MAX } from './admission/retry-after';
export { WorkerPool, type WorkerPoolOptions } from './pool/worker-pool';
