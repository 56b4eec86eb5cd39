export { GraphBackend, type GraphBackendOptions } from './graph-backend';
export { StepMetrics } from './step-metrics';
