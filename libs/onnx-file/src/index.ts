export { ExternalFiles } from './external-data';
export { FileBytes, type Span } from './file-bytes';
export { readOnnxFile, type OnnxDim, type OnnxFile, type OnnxGraph, type OnnxNode, type OnnxValue, type OnnxWeight } from './read-file';
export { fieldsOf } from './wire';
export { writeOnnxPart, type DeclaredValue, type OnnxPart } from './write-part';
