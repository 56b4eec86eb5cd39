import {
  DEVICES,
  EXECUTOR_THREADS_MAX,
  LANES,
  MERGE_ROWS,
  TASKS,
  TIMEOUT_MS_MAX,
  type Device,
  type Lane,
  type MergeRows,
  type Task,
  type WorkerModelPlan,
} from '@app/contracts';
import { memorySize } from '@app/config';
import { z } from 'zod';
import type { GraphManifest } from './graph/graph-manifest';
import { outputsSchema, stepsSchema } from './graph/steps-schema';
import { modelVersionSchema } from './model-version';
import type { Prompts } from './sentence/config';
import { POOLING_MODES, type SentencePipeline } from './sentence/pipeline';
import type { Splade } from './sentence/splade';
import type { SpecialToken } from './tokenizer/special-tokens';
import type { TruncationSide } from './tokenizer-config';
import type { CacheBounds, DegradeStep, DimensionsRule } from './types';

const positiveInt = z.number().int().positive();
const axisName = z.string().min(1);
/** Dimensions of a tensor that is served. */
const RANK_MAX = 8;

export type Activation = 'softmax' | 'sigmoid' | 'none';

const MiB = 1024 * 1024;
const cacheSchema = z.strictObject({
  bytesMax: z.union([positiveInt, memorySize], 'expected a number of bytes, or MiB or GiB as in "64MiB"').default(64 * MiB),
  ttlSeconds: positiveInt.max(31_536_000).default(300),
  /** The owner says that equal inputs have equal answers, although the graph holds an operator that may draw random numbers. */
  deterministic: z.boolean().default(false),
});
const DEGRADE_FORM =
  'expected "cached", "refuse" or the name of another model, as in { model: smaller }, with version and sameSpace as needed';
const otherModelSchema = z.strictObject({
  model: z.string().min(1).max(512),
  version: modelVersionSchema.optional(),
  /** Embeddings: the owner says that vectors of both models can be compared. */
  sameSpace: z.boolean().default(false),
});

const realtimeSchema = z
  .strictObject({ timeoutMs: positiveInt.max(TIMEOUT_MS_MAX).optional(), sloMs: z.number().positive().max(TIMEOUT_MS_MAX).optional() })
  .check(({ value: { timeoutMs, sloMs }, issues }) => {
    if (timeoutMs === undefined || sloMs === undefined || sloMs <= timeoutMs) return;
    issues.push({
      code: 'custom',
      input: sloMs,
      path: ['sloMs'],
      message: `expected at most timeoutMs (${timeoutMs}) but received ${sloMs}`,
    });
  });

const POOLING_FORM = `expected none, one of ${POOLING_MODES.join(', ')}, or a list of these as in [cls, mean]`;
const DIMENSIONS_FORM = 'expected any, or a list of lengths from 1 to 65536 as in [64, 128]';
const threads = positiveInt.max(EXECUTOR_THREADS_MAX);
const THREADS_FORM = `expected a number of threads from 1 to ${EXECUTOR_THREADS_MAX}, or one for each lane as in { realtime: 2, batch: 1 }`;

/** `model.yaml`, beside the versions of a model: overrides what was inferred. Every key is optional, an unknown one is an error. */
const modelFileKeys = z.strictObject({
  task: z.enum(TASKS).optional(),
  /** The graph, relative to the folder of the export or of the version. */
  file: z.string().min(1).max(512).optional(),
  /** Where it runs; `gpu` needs a partition with a GPU. */
  device: z.enum(DEVICES).optional(),
  /** Names of the graph's axes to stack rows over and to pad. */
  axes: z
    .strictObject({
      batch: axisName.optional(),
      sequence: z.union([axisName, z.array(axisName).min(1).max(2)], 'expected the name of an axis, or a list of two').optional(),
      /** For dimensions to which the graph gives no name, by input; null: none here either. */
      inputs: z.record(z.string(), z.array(axisName.nullable()).max(RANK_MAX)).optional(),
    })
    .optional(),
  /** Value of the padded part, by input name. */
  padValues: z.record(z.string(), z.number()).optional(),
  paddingIsSafe: z.boolean().optional(),
  /** Whether rows of several requests share runs; see `MergeRows`. */
  mergeRows: z.enum(MERGE_ROWS).optional(),
  /** Former name of `mergeRows`: true is `never`, false is `auto`. */
  batchInvariant: z.boolean().optional(),
  runRowsMax: positiveInt.max(4096).optional(),
  runTokensMax: positiveInt.max(1_048_576).optional(),
  runTimeoutMs: positiveInt.optional(),
  deduplicate: z.boolean().optional(),
  /** Threads of one run, on neighbouring CPUs; default: those of the lane in interleave.yaml. */
  executorThreads: z.union([threads, z.strictObject({ realtime: threads.optional(), batch: threads.optional() })], THREADS_FORM).optional(),
  /** It stays loaded whatever else needs the memory (`repository.memoryMax`). */
  pinned: z.boolean().optional(),
  /** Time for a live answer where the caller names none, and the goal that shared runs are kept short for. */
  realtime: realtimeSchema.optional(),
  /** Words by which partitions of interleave.yaml take this model, beside its name. */
  tags: z.array(z.string().min(1).max(128)).max(64).optional(),
  /** Default: every lane that a partition serves. */
  lanes: z.array(z.enum(LANES)).min(1).optional(),
  /** Longest row in tokens, special tokens included. */
  maxTokens: positiveInt.max(1_048_576).optional(),
  /** Callers may send token ids: all of them use the model's own tokenizer. */
  tokenIds: z.boolean().optional(),
  /** One or several, concatenated; `none`: the graph pools. */
  pooling: z
    .union([z.enum([...POOLING_MODES, 'none']), z.array(z.enum(POOLING_MODES)).min(1).max(POOLING_MODES.length)], POOLING_FORM)
    .optional(),
  normalize: z.boolean().optional(),
  /** Lengths to which callers may have vectors cut. */
  dimensions: z.union([z.literal('any'), z.array(positiveInt.max(65_536)).min(1).max(1024)], DIMENSIONS_FORM).optional(),
  embeddingOutput: z.string().min(1).optional(),
  /** Task `multi-vector`: the first token has no vector, as in bge-m3. */
  skipFirstToken: z.boolean().optional(),
  /** Number of a row's first token in `position_ids`. */
  positionStart: z.number().int().nonnegative().max(65_536).optional(),
  /** By class index. */
  labels: z.array(z.string()).min(1).optional(),
  /** Live answers are kept and given again to equal inputs; default: they are not. */
  cache: cacheSchema.optional(),
  /** What to try, in order, where a live request would be refused because the node or the model is in trouble. */
  degrade: z
    .array(z.union([z.enum(['cached', 'refuse']), otherModelSchema], DEGRADE_FORM))
    .min(1)
    .max(8)
    .optional(),
  /** It is a graph of other models, and has no file of its own. */
  steps: stepsSchema.optional(),
  /** Tensors of the steps that are the outputs; default: those that no step takes. */
  outputs: outputsSchema.optional(),
});

export const mergeRowsOf = ({ mergeRows, batchInvariant }: { mergeRows?: MergeRows; batchInvariant?: boolean }): MergeRows =>
  mergeRows ?? (batchInvariant === true ? 'never' : 'auto');

/** The former name of a key beside the present one must say the same, and runs on a GPU have no threads. */
export const modelFileSchema = modelFileKeys.check(({ value: { mergeRows, batchInvariant, device, executorThreads }, issues }) => {
  if (device === 'gpu' && executorThreads !== undefined) {
    const message = 'expected no executorThreads beside device: gpu, whose runs compute on the GPU; remove it';
    issues.push({ code: 'custom', input: executorThreads, path: ['executorThreads'], message });
  }
  if (mergeRows === undefined || batchInvariant === undefined || mergeRows === mergeRowsOf({ batchInvariant })) return;
  const message =
    'expected one of mergeRows and batchInvariant but received both, and they contradict; remove batchInvariant, the former name (true means never, false means auto)';
  issues.push({ code: 'custom', input: batchInvariant, path: ['batchInvariant'], message });
});
export type ModelFile = z.infer<typeof modelFileSchema>;

/** What a graph's `position_ids` are: counted on from `start`, or as in RoBERTa from the padding id on, which padding itself keeps. */
export type PositionRule = { kind: 'counted'; start: number } | { kind: 'after-padding'; padTokenId: number };

/** How a text model's numbers become an answer, and its text becomes numbers. */
export interface TextManifest {
  tokenizerPath: string;
  /** Longest row in tokens, special tokens included. */
  maxTokens: number;
  padTokenId: number;
  /** Token ids of callers are taken for the model's own; else only those that cannot be OpenAI's. */
  tokenIds: boolean;
  /** Texts are made lower case before the tokenizer's own normalisation. */
  lowerCase: boolean;
  /** Those that tokenizer_config.json names; `tokenizer.json` may lack some. */
  specialTokens: readonly SpecialToken[];
  /** Where tokens are taken away from a text that is cut; null: where its `tokenizer.json` says. */
  truncationSide: TruncationSide | null;
  /** Null: not known. */
  positions: PositionRule | null;
  prompts: Prompts;
  /** Null: nothing says that vectors may be cut. */
  dimensions: DimensionsRule;
  sentence: SentencePipeline;
  /** Task `sparse` only. */
  splade: Splade;
  /** Task `multi-vector` only: the first token has no vector. */
  skipFirstToken: boolean;
  /** Null: `sentence_embedding`, or else the hidden states. */
  embeddingOutput: string | null;
  /** By class index; null: `LABEL_<index>`. */
  labels: string[] | null;
  /** Null: what the task usually has, softmax for labels and sigmoid for a score. */
  activation: Activation | null;
}

/** Everything that the files of one model version say about it. Paths are absolute. */
export interface ModelManifest {
  name: string;
  version: string;
  /** Null: it is a graph. */
  modelPath: string | null;
  /** Null: it has a file of its own. */
  graph: GraphManifest | null;
  task: Task;
  /** False: the task was guessed from config.json, so a graph that does not fit it is served as plain tensors. */
  taskIsExplicit: boolean;
  /** Why it takes no text; null for text models. */
  tensorsBecause: string | null;
  /** True when its files look like those of a text model, so that the reason is worth telling. */
  tensorsAreFallback: boolean;
  device: Device;
  batchAxisName: string | null;
  sequenceAxisNames: string[];
  inputAxisNames: Record<string, (string | null)[]>;
  padValues: Record<string, number>;
  paddingIsSafe: boolean | null;
  mergeRows: MergeRows;
  runRowsMax: number | null;
  runTokensMax: number | null;
  runTimeoutMs: number | null;
  deduplicate: boolean;
  /** Threads of one run by lane; null: as many as the lane's. */
  executorThreads: Record<Lane, number | null>;
  pinned: boolean;
  /** Time for a live answer where the caller names none; null: that of interleave.yaml. */
  timeoutMs: number | null;
  sloMs: number | null;
  /** For the owner of the model, to log. */
  warnings: string[];
  tags: string[];
  /** Null: every lane that a partition serves. */
  lanes: Lane[] | null;
  /** Null: live answers are not kept. */
  cache: CacheBounds | null;
  degrade: DegradeStep[];
  /** By class index, of a tensor model too (`model.yaml: labels`); null: none. */
  labels: string[] | null;
  /** Null for plain tensor models. */
  text: TextManifest | null;
}

/** Limits of a lane's workers; `model.yaml` overrides each. */
export interface LaneLimits {
  runRowsMax: number;
  runTokensMax: number;
  runTimeoutMs: number;
  executorThreads: number;
}

/** One with a file of its own. */
export type FileManifest = ModelManifest & { modelPath: string };

export const hasFile = (manifest: ModelManifest): manifest is FileManifest => manifest.modelPath !== null;

/** What a worker of a lane is told about a revision of a model version. */
export function workerModelPlan(
  manifest: FileManifest,
  lane: Lane,
  limits: LaneLimits,
  files: Pick<WorkerModelPlan, 'revision' | 'fingerprint'>,
): WorkerModelPlan {
  return {
    name: manifest.name,
    version: manifest.version,
    ...files,
    modelPath: manifest.modelPath,
    device: manifest.device,
    batchAxisName: manifest.batchAxisName,
    sequenceAxisNames: manifest.sequenceAxisNames,
    inputAxisNames: manifest.inputAxisNames,
    padValues: manifest.padValues,
    paddingIsSafe: manifest.paddingIsSafe,
    mergeRows: manifest.mergeRows,
    runRowsMax: manifest.runRowsMax ?? limits.runRowsMax,
    runTokensMax: manifest.runTokensMax ?? limits.runTokensMax,
    runTimeoutMs: manifest.runTimeoutMs ?? limits.runTimeoutMs,
    endsByCost: manifest.runTimeoutMs === null,
    deduplicate: manifest.deduplicate,
    // Runs on a GPU compute there.
    executorThreads: manifest.device === 'gpu' ? 1 : (manifest.executorThreads[lane] ?? limits.executorThreads),
    sloMs: manifest.sloMs,
    rowTokensMax: manifest.text?.maxTokens ?? null,
  };
}
