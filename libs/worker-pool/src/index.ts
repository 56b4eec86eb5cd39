export { ItemCount } from './admission/item-count';
export { overloaded } from './admission/retry-after';
export { WorkerPool, type WorkerPoolOptions } from './pool/worker-pool';
