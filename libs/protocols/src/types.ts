import type { InferenceItem, ItemResult } from '@app/contracts';
import type { SharedMemory } from './shared-memory';
import type { ServiceTier } from './service-tier';

export type EndpointKind = 'predict' | 'open-inference' | 'embeddings' | 'rerank' | 'classify' | 'tokenize' | 'detokenize';

/** The endpoints that answer with a model, by the URL that callers and batch lines use. */
export interface Endpoint {
  kind: EndpointKind;
  /** From the path; null where the model is in the body. */
  model: string | null;
  version: string | null;
}

/** A body that was checked and tokenized: what to run, and how to answer. */
export interface PreparedRequest<Answer = ResponseBody> {
  model: string;
  version: string;
  /** Whose inputs these are: they run on no other. */
  revision: number;
  /** As `ServedModel.remoteFiles`. */
  remoteFiles: string | null;
  items: InferenceItem[];
  /** Tokens of all texts as they are run, those of equal ones each time; 0 for tensor requests. */
  tokenCount: number;
  /** For a live answer: by parameter, or else as the model has it; null: the default. */
  timeoutMs: number | null;
  /** 0 default, 1 highest. */
  priority: number;
  /** As the body asks for; a batch runs as it is. Default: it does not say. */
  tier?: ServiceTier | null;
  /** As `InferenceRequest.runAlone`. */
  runAlone?: boolean;
  /** A promise where the answer takes computing. */
  respond(results: ItemResult[]): Answer | Promise<Answer>;
}

/** What is run of a request, however it is answered. */
export type PreparedItems = Omit<PreparedRequest, 'respond'>;

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
  /** Where tensors of an Open Inference request may lie beside its body; absent: nowhere. */
  sharedMemory?: SharedMemory;
}
