export { ChannelError, IllegalStateError } from './errors';
export { isolateFront, isolateProcess } from './isolation';
export { provePreemption, type ProofOptions } from './preemption/proof';
export { inspectAddon, inspectRuntime, type AddonReport, type RuntimeReport } from './runtime';
export { WorkerPool, type WorkerPoolOptions } from './worker-pool';
export { startWorker, type StartWorkerOptions, type WorkerHandle, type WorkerModelStats } from './worker';
export { simulate } from './simulate';
export type { SimulatedItem, SimulationOptions, SimulationReport } from './addon';
