export * from './calibration';
export { openModelCatalog, unknownModel } from './catalog';
export { bestFirst } from './heads/classification';
export { workerModelPlan, type LaneLimits, type ModelManifest } from './manifest';
export { isModel, scanRepository, type RepositoryEntry } from './repository';
export { inspectTokenizers, type TokenizerReport } from './tokenizer-report';
export * from './types';
export { visibleModels } from './visible-models';
