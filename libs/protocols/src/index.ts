export { checkBatchLine, type BatchLine } from './batch-line';
export { parseEndpoint } from './endpoint';
export { errorBody, type ErrorStyle } from './error-body';
export { checkJsonBounds, checkJsonBoundsInSlices, jsonLimits, type JsonCounts, type JsonLimits, type JsonSettings } from './json-bounds';
export { parseJsonBody } from './json-body';
export { jsonLine } from './json-line';
export { splitInferBody } from './open-inference';
export { prepare, runPrepared } from './prepare';
export * from './types';
