export { WorkerPool, type WorkerPoolOptions } from './pool/worker-pool';
