/**
 * Open Inference Protocol datatypes with the ONNX element type of each and its size.
 * `bytes: null` marks BYTES (ONNX string), whose elements have a length of their own.
 */
export const DATATYPES = {
  BOOL: { onnx: 9, bytes: 1 },
  UINT8: { onnx: 2, bytes: 1 },
  UINT16: { onnx: 4, bytes: 2 },
  UINT32: { onnx: 12, bytes: 4 },
  UINT64: { onnx: 13, bytes: 8 },
  INT8: { onnx: 3, bytes: 1 },
  INT16: { onnx: 5, bytes: 2 },
  INT32: { onnx: 6, bytes: 4 },
  INT64: { onnx: 7, bytes: 8 },
  FP16: { onnx: 10, bytes: 2 },
  BF16: { onnx: 16, bytes: 2 },
  FP32: { onnx: 1, bytes: 4 },
  FP64: { onnx: 11, bytes: 8 },
  BYTES: { onnx: 8, bytes: null },
} as const satisfies Record<string, { onnx: number; bytes: number | null }>;
export type Datatype = keyof typeof DATATYPES;

/**
 * A tensor as it travels between API, channel and worker.
 * `data` is row-major and little-endian; for BYTES each element is a uint32 length followed by that many bytes
 * (the layout of the Open Inference Protocol's binary tensor extension).
 */
export interface Tensor {
  name: string;
  datatype: Datatype;
  shape: number[];
  data: Uint8Array;
}

/** One input or output of a model. */
export interface TensorSpec {
  name: string;
  datatype: Datatype;
  /** −1 marks a dimension that varies. */
  shape: number[];
  /** The role of each dimension: what is coalesced over, what is padded, what is fixed. Same length as `shape`. */
  axes: Axis[];
}

/**
 * `batch`: rows are stacked here. `sequence0`, `sequence1`: padded to the longest row of the run (a model may have two
 * independent sequence axes). `fixed`: a constant of the model. `free`: varies and is not understood, so rows must agree.
 */
export type Axis = 'batch' | 'sequence0' | 'sequence1' | 'fixed' | 'free';

/**
 * How rows of different requests may share one run. `padded`: any lengths, padded. `equal-length`: only rows of equal
 * lengths (no mask input, so padding could change answers). `alone`: one request per run.
 */
export type CoalesceMode = 'padded' | 'equal-length' | 'alone';

export interface ModelSignature {
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  coalesce: CoalesceMode;
  /** Why `coalesce` is not `padded`; null when it is. */
  coalesceReason: string | null;
}

/** Whether rows of different requests share runs, and why not, in plain words: `merged (padded)`, `alone: <why>`. */
export function mergingText({ coalesce, coalesceReason }: Pick<ModelSignature, 'coalesce' | 'coalesceReason'>): string {
  if (coalesce === 'padded') return 'merged (padded)';
  return `${coalesce === 'alone' ? 'alone' : 'merged at equal length'}: ${coalesceReason ?? 'no reason given'}`;
}
