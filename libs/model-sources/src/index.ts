export { addModel, type AddedModel, type AddOptions, type AddRequest } from './add-model';
export { SOURCE_LIMITS, type SourceLimits } from './limits';
export type { FetchProgress } from './model-source';
export { removeModel, type RemoveRequest } from './remove-model';
export { SourceError } from './source-error';
