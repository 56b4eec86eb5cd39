/** Ways to make one vector of a row's token vectors, in the order in which sentence-transformers concatenates them. */
export const POOLING_MODES = ['cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken'] as const;
export type PoolingMode = (typeof POOLING_MODES)[number];

/** A module after the pooling. Its files are read when a graph turns out to need it. */
export interface LayerSpec {
  kind: 'Dense' | 'LayerNorm' | 'Normalize';
  /** Absolute path of the module's files. */
  folder: string;
}

/** How a sentence vector is made of hidden states: sentence-transformers' modules.json, with what model.yaml overrides. */
export interface SentencePipeline {
  /** Concatenated in this order; empty: the graph pools. */
  pooling: PoolingMode[];
  /** model.yaml asks for it: it is not left to the graph. */
  poolingIsAsked: boolean;
  /** False: the tokens of a prompt are left out of the pooling. */
  includePrompt: boolean;
  /** Width of the token vectors that the pooling was made for; null: not said. */
  hiddenWidth: number | null;
  /** Between the pooling and the last normalisation. */
  layers: LayerSpec[];
  /** Whether the vector is normalised in the end; null: when it was pooled here. */
  normalize: boolean | null;
  /** Numbers of the vector that are kept, the first ones; null: all. */
  truncateTo: number | null;
  /** Why the modules cannot be computed outside of the graph; null when they can. */
  obstacle: string | null;
}
