import type {
  InferenceItem,
  ItemResult,
  ModelReport,
  ModelSignature,
  PlacedRelease,
  Placement,
  RevisionBinding,
  Task,
  TensorSpec,
} from '@app/contracts';
import type { TokenizedText } from './tokenizer';
import type { TruncationSide } from './tokenizer-config';

/** One model version of the repository. */
export interface CatalogEntry {
  name: string;
  version: string;
  task: Task;
  /** `failed` with the reason when the files cannot be served or no worker could load it; `unloaded`: it is loaded for whoever asks. */
  state: ModelReport['state'] | 'unloaded';
  /** Why it failed; of a model that is ready with task `tensor` although it has a tokenizer, why it takes no text. */
  reason: string | null;
  signature: ModelSignature | null;
  /** The revision that answers, or will; null: none yet. */
  revision: number | null;
  /** Why the last change of its files was not taken over; null: it was, or there was none. */
  changeRefusal: string | null;
}

/** Bounds of the live answers that are kept of a model. */
export interface CacheBounds {
  bytesMax: number;
  ttlSeconds: number;
  deterministic: boolean;
}

/** Another model answers, or a kept answer does although its time is over. */
export type DegradeStep = { kind: 'model'; model: string; version: string | null; sameSpace: boolean } | { kind: 'cached' };

/** What the owner of a model version allows besides running it, and what must be equal in a model that stands in for it. */
export interface ServingPolicy {
  /** Null: off, or refused with a warning. */
  cache: CacheBounds | null;
  degrade: readonly DegradeStep[];
  /** How numbers become an answer, or have names: labels and activation; null: nothing is known. */
  head: string | null;
  /** SHA-256 of the tokenizer's file; null: it has none, or no model of the repository has `degrade`. Equal: token ids mean the same. */
  tokenizerDigest: string | null;
}

/** A model version that is ready to answer. */
export interface ServedModel {
  name: string;
  version: string;
  /** Of its files; what is prepared for it runs on no other. */
  revision: number;
  task: Task;
  signature: ModelSignature;
  /** Null for plain tensor models. */
  text: TextModel | null;
  /** Why it takes no text; null for text models. */
  tensorsBecause: string | null;
  /** Names of its classes, by index; null: they have none. */
  labels: readonly string[] | null;
  /** Time for a live answer where the caller names none; null: the default of all models. */
  timeoutMs: number | null;
  /** False where equal inputs may give different outputs (`model.yaml`). */
  deduplicate: boolean;
  /** Its runs are runs of other models. */
  isGraph: boolean;
  /** As `ModelReport.remoteFiles`; null: no other node runs steps of it. */
  remoteFiles: string | null;
}

export type TextInput = string | { text: string; text_pair?: string };

/**
 * The task head's answer in the `:predict` shape of docs/protocols.md §5: a vector, a sparse vector, vectors, labels with scores,
 * entities, or a score. Vectors, and the values of a sparse one, are Float32Arrays.
 */
export type Prediction = object;

/** One class of a classifier, or the one number of a scoring model. */
export interface ScoredLabel {
  label: string;
  score: number;
}

/** With the logit that the score was made of: of two classes, or two texts, the one with the larger logit is better. */
export interface ScoredClass extends ScoredLabel {
  logit: number;
}

/** One text turned into the tensors of one row, with the way back. */
export interface TextRow {
  item: InferenceItem;
  tokenCount: number;
  /** Throws `inference_failed` when the model gave NaN or an infinite number. */
  decode(result: ItemResult): Prediction;
  /** Embedding models only: the vector, without going through JS number arrays. Throws as `decode` does. */
  decodeVector(result: ItemResult): Float32Array;
  /** Sequence classification and text-pair scoring only: all classes in their own order. Throws as `decode` does. */
  decodeScores(result: ItemResult): ScoredClass[];
}

export interface EncodeOptions {
  /** False: a text over the model's maximum length is an `invalid_request` that says both lengths. */
  truncate: boolean;
  /** The side on which tokens are taken away; null or absent: as the model's files say. */
  truncationSide?: TruncationSide | null;
  /** Texts are cut to so many tokens, special ones included, where that is fewer than the model takes; needs `truncate`. */
  tokensMax?: number;
  /** The second text of a pair is cut to so many tokens of its own, whether or not the rest is cut. */
  pairTokensMax?: number;
  /** Scores are the model's own numbers, without sigmoid or softmax. */
  rawScores?: boolean;
  /** Labels to return, best first; null: all. */
  topK: number | null;
  /** Prompt that goes before the texts; null: the model's default, if it has one. Unknown: an `invalid_request` with path `prompt_name`. */
  promptName: string | null;
}

export interface TokenizeOptions {
  promptName: string | null;
  /** Those that the model gets; false: the tokens of the text alone. */
  addSpecialTokens: boolean;
  /** Whether `spans` are wanted. */
  spans: boolean;
}

/** Lengths to which a model's vectors may be cut: some, any, or null where nothing says that it was trained for that. */
export type DimensionsRule = readonly number[] | 'any' | null;

/** A task's head as a step of a graph: what it takes and what it makes of it, one row each. */
export interface HeadStep {
  input: TensorSpec;
  output: TensorSpec;
  /** May say which vectors of `input` are those of tokens; null: it takes no vectors of tokens. */
  mask: TensorSpec | null;
  /** Vectors of padding that no mask tells apart change its answer. */
  countsPadding: boolean;
  /** It leaves out the tokens of a prompt, of which the vectors do not tell how many they are. */
  skipsPrompt: boolean;
}

export interface TextModel {
  readonly maxTokens: number;
  /** Names of prompts, as `EncodeOptions.promptName` takes them. */
  readonly promptNames: readonly string[];
  /** Goes before a text where no prompt is named; empty: none does. */
  readonly defaultPrompt: string;
  readonly dimensions: DimensionsRule;
  /** Length of the vectors of an embedding model; null for other tasks, and when the graph does not tell. */
  readonly embeddingWidth: number | null;
  /** Null: its answers are no tensors. */
  readonly headStep: HeadStep | null;
  /**
   * What `headStep` makes of one row; `tokenCount` null: all its vectors are of tokens. Throws `inference_failed` as `TextRow.decode`
   * does.
   */
  answerRow(result: ItemResult, tokenCount: number | null): Float32Array;
  /** Tokenizes. Rejects with an `InterleaveError` whose `param` is the index of the text at fault, as `[i]`. */
  encode(inputs: TextInput[], options: EncodeOptions): Promise<TextRow[]>;
  /** Token ids from the caller, special tokens included as given, without a prompt; bounds-checked against the vocabulary. */
  encodeIds(ids: number[][], options: EncodeOptions): TextRow[];
  /** The tokens of texts of any length up to 256 characters for each token that the model takes. Rejects as `encode` does. */
  tokenize(inputs: TextInput[], options: TokenizeOptions): Promise<TokenizedText[]>;
  /** The texts of lists of token ids; an id that the vocabulary lacks is an `invalid_request` with path `[i][j]`. */
  detokenize(ids: number[][], options: { skipSpecialTokens: boolean }): Promise<string[]>;
}

/** Models as somebody sees them who asks for one. */
export interface ModelView {
  list(): CatalogEntry[];
  /**
   * The versions that a name means, ready or not: the one with its label or that is named, else all of the model. Throws
   * `model_not_found` where there is none, and `invalid_request` for a label beside a version.
   */
  entriesOf(name: string, version: string | null): CatalogEntry[];
  /**
   * Throws `model_not_found`, or `ModelNotReady` while it is loading or not loaded. `name` may end with a label, as in `minilm:canary`.
   * Version null: the one with the label `stable`, or else the newest that is ready. `user`: whom the request says that it is for, where
   * versions are shared out between callers.
   */
  find(name: string, version: string | null, user?: string | null): ServedModel;
  /** Of the version that `find` would choose, or of the newest while none is ready; null: there is none. */
  policyOf(name: string, version: string | null): ServingPolicy | null;
  /** What was bound to the files of this revision, as long as workers have it; null: nothing, or no longer. */
  ofRevision(revision: number): { model: ServedModel; policy: ServingPolicy } | null;
}

/** The placement as the scheduler last wrote it. */
export interface PlacementSource {
  readonly placement: Placement | null;
  onChange(listener: () => void): unknown;
}

/** All models of the repository as one process has them. */
export interface ModelCatalog extends ModelView {
  /** Takes over what workers say (state, signature); called whenever `WorkerPool` reports a change. */
  applyReports(reports: ModelReport[]): void;
  /** Which versions of a model serve whom; null: it has no rules. */
  releaseOf(name: string): PlacedRelease | null;
  /** Why no worker can serve the files of this revision; null: one can, or it is not known yet. */
  failureOf(revision: number): string | null;
  /** What this process has bound, for its status; null: it follows no placement, and has what there is. */
  revisions(): RevisionBinding[] | null;
  /** Called after changes of any of this; returns the way to unsubscribe. */
  onChange(listener: () => void): () => void;
}
