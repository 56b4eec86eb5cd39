export { toBase64, type AnswerParts, type VectorForm } from './answer-parts';
export { checkBatchLine, findLineFaults, type BatchLine } from './batch-line';
export { withText, type Bulk } from './bulk';
export { ENDPOINT_PATHS, joinOrganisation, parseEndpoint } from './endpoint';
export { errorBody, type ErrorStyle } from './error-body';
export { checkJsonBounds, checkJsonBoundsInSlices, jsonLimits, type JsonCounts, type JsonLimits, type JsonSettings } from './json-bounds';
export { parseJsonBody, parseJsonBodyInSlices } from './json-body';
export {
  CONTENT_HEADER,
  CONTENT_PARAMETER,
  inferCallMessage,
  modelCallMessage,
  readDescription,
  readInferAnswer,
  type ModelDescription,
} from './grpc/infer-call';
export { prepareInferMessage, readInferMessage, streamAnswer, streamError, type InferMessage, type WireMessage } from './grpc/infer';
export { WireReader } from './grpc/wire-reader';
export { WireWriter } from './grpc/wire-writer';
export { jsonLine } from './json-line';
export { LineTemplate, type LineParts } from './line-template';
export { JsonText, toJsonText } from './json-numbers';
export { splitInferBody } from './open-inference';
export { readServiceTier, SERVICE_TIERS, type ServiceTier } from './service-tier';
export { allSucceeded, prepare, prepareBulk, runItems, runPrepared } from './prepare';
export type { SharedMemory, SharedPart, SharedPlace } from './shared-memory';
export * from './types';
