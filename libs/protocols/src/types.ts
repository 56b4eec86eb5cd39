import type { InferenceItem, ItemResult } from '@app/contracts';

/** The three predict endpoints, by the URL that callers and batch lines use. */
export interface Endpoint {
  kind: 'predict' | 'open-inference' | 'embeddings';
  /** From the path; null for embeddings, whose model is in the body. */
  model: string | null;
  version: string | null;
}

/** A body that was checked and tokenized: what to run, and how to answer. */
export interface PreparedRequest<Answer = ResponseBody> {
  model: string;
  version: string;
  items: InferenceItem[];
  /** Tokens over all items; 0 for tensor requests. */
  tokenCount: number;
  /** For a live answer: by parameter, or else as the model has it; null: the default. */
  timeoutMs: number | null;
  /** 0 default, 1 highest. */
  priority: number;
  /** As `InferenceRequest.runAlone`. */
  runAlone?: boolean;
  /** A promise where the answer takes computing. */
  respond(results: ItemResult[]): Answer | Promise<Answer>;
}

/** JSON to serialise with `toJsonText`, or bytes with their headers (binary tensor extension). */
export type ResponseBody = { kind: 'json'; body: object } | { kind: 'bytes'; body: Uint8Array; headers: Record<string, string> };

/** What came with the body of an Open Inference request that is not plain JSON. */
export interface BinaryPart {
  /** `Inference-Header-Content-Length`: where the tensors start in `body`; 0: the body is one raw tensor. */
  headerBytes: number;
  /** The whole body, JSON header included. */
  body: Uint8Array;
}

export interface Limits {
  /** Texts, instances or token lists of one request. */
  itemsMax: number;
  /** Bytes of all input tensors of one item. */
  tensorBytesMax: number;
  /** The setting that it follows from, for whoever meets it. */
  tensorBytesKey?: string;
}
