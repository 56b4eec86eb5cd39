export * from './calibration';
export { openModelCatalog } from './catalog';
export { ModelNotReady, unknownModel } from './catalog-errors';
export { ContentDigests, sha256OfWeights } from './content-digest';
export { splitLabel } from './label';
export { releaseView } from './release-view';
export { bestFirst } from './heads/classification';
export { externalDataOf } from './external-data';
export { type GraphStep } from './graph/graph-manifest';
export { joinSignatures, type JoinedGraph } from './graph/graph-signature';
export { isFoundGraph, preferredGraph } from './graph-file';
export { hasFile, workerModelPlan, type FileManifest, type LaneLimits, type ModelManifest } from './manifest';
export { loadBytes, modelFileBytes } from './model-bytes';
export { ModelFileError, readBounded } from './model-files';
export { isDescription, layerWeightsIn } from './needed-files';
export { isModelVersion, modelVersionSchema } from './model-version';
export {
  fingerprintOfVersion,
  isModel,
  isModelName,
  mayHoldModel,
  modelNames,
  namedGraphIn,
  RELEASE_FILE,
  scanModel,
  scanRepository,
  versionsIn,
  type RepositoryEntry,
} from './repository';
export { inspectTokenizers, type TokenizerReport } from './tokenizer-report';
export * from './types';
export { visibleModels } from './visible-models';
