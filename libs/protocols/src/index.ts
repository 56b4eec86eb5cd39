export { checkBatchLine, type BatchLine } from './batch-line';
export { parseEndpoint } from './endpoint';
export { errorBody, type ErrorStyle } from './error-body';
export { checkJsonBounds, checkJsonBoundsInSlices, jsonLimits, type JsonCounts, type JsonLimits, type JsonSettings } from './json-bounds';
export { parseJsonBody, parseJsonBodyInSlices } from './json-body';
export { toJsonText } from './json-numbers';
export { splitInferBody } from './open-inference';
export { prepare, runPrepared } from './prepare';
export * from './types';
