export { checkBatchLine, type BatchLine } from './batch-line';
export { joinOrganisation, parseEndpoint } from './endpoint';
export { errorBody, type ErrorStyle } from './error-body';
export { parseJsonBody } from './json-body';
export { splitInferBody } from './open-inference';
export { prepare, runPrepared } from './prepare';
export * from './types';
