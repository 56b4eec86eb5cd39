import type { Task } from '@app/contracts';
import { z } from 'zod';
import type { Activation, ModelFile, PositionRule, TextManifest } from './manifest';
import { findFile, ModelFileError, ModelJson } from './model-files';
import { readSentenceConfig, readTransformerConfig, type SentenceConfig, type TransformerConfig } from './sentence/config';
import { plainPipeline, readModules, readPipeline, type SentenceModule } from './sentence/modules';
import type { SentencePipeline } from './sentence/pipeline';
import { checkTokenizerConfig } from './tokenizer-config';
import { PLAIN_SPLADE, readSplade } from './sentence/splade';
import type { DimensionsRule } from './types';

const count = z.number().int().nonnegative();

/** Models whose position table starts after the padding id, so that a few of its rows cannot be used. */
const OFFSET_POSITIONS = /roberta|camembert|mpnet|longformer|data2vec-text|xmod|luke|ibert|lilt/;
/** Models that count positions from 0. */
const PLAIN_POSITIONS =
  /^(albert|bert|big_bird|convbert|deberta(-v2)?|distilbert|electra|ernie|layoutlm|megatron-bert|mobilebert|modernbert|nezha|nomic_bert|roformer|splinter|squeezebert|codegen|cohere|falcon|gemma.*|gpt.*|granite|llama|mistral|mixtral|olmo.*|opt|phi.*|qwen.*|smollm.*|stablelm|starcoder2)$/;
/** `model_max_length` of tokenizers that know no limit is an enormous number. */
const LENGTH_UNLIMITED = 10_000_000;
const LABELS_MAX = 100_000;
const LABEL_ID = /^\d{1,5}$/;
const MAX_TOKENS_DEFAULT = 512;

/** What a Hugging Face or sentence-transformers export says, with what `model.yaml` overrides. */
export interface InferredModel {
  task: Task;
  /** False when the task is a guess, which a graph may refute. */
  taskIsExplicit: boolean;
  /** Why it takes no text; null for text models. */
  tensorsBecause: string | null;
  /** True when there are signs of a text model all the same. */
  tensorsAreFallback: boolean;
  /** What padded tokens are, for graphs with `input_ids`; 0 when not known. */
  padTokenId: number;
  text: TextManifest | null;
}

/**
 * Reads config.json, tokenizer_config.json and the sentence-transformers files as far as the model needs them; each is
 * taken from the first of `folders` that has it. Throws a `ModelFileError` for one that cannot be read.
 */
export function readExport(folders: string[], file: ModelFile): InferredModel {
  if (file.task === 'tensor') return asTensors(folders, findFile(folders, 'tokenizer.json'), file);
  const modules = readModules(folders);
  const searched =
    modules?.[0] !== undefined && TRANSFORMERS.includes(modules[0].kind) ? [...new Set([modules[0].folder, ...folders])] : folders;
  const tokenizerPath = findFile(searched, 'tokenizer.json');
  if (tokenizerPath === null) return asTensors(searched, null, file);
  const parts: ExportParts = {
    folders: searched,
    config: ModelJson.read(searched, 'config.json'),
    modules,
    sentence: readSentenceConfig(folders),
    file,
  };
  const { task, because } = file.task === undefined ? inferTask(parts) : { task: file.task, because: null };
  const isSure = file.task !== undefined || modules !== null;
  if (task === 'tensor') return { ...asTensors(searched, tokenizerPath, file), tensorsBecause: because };
  const text = textManifest(parts, tokenizerPath, task);
  return { task, taskIsExplicit: isSure, tensorsBecause: null, tensorsAreFallback: false, padTokenId: text.padTokenId, text };
}

/** Modules that have the tokenizer beside them. */
const TRANSFORMERS = ['Transformer', 'MLMTransformer'];

interface ExportParts {
  folders: string[];
  config: ModelJson | null;
  modules: SentenceModule[] | null;
  sentence: SentenceConfig;
  file: ModelFile;
}

/** Files that only text models have. */
const SIGNS_OF_TEXT = ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt', 'sentencepiece.bpe.model', 'spiece.model', 'modules.json'];

function asTensors(folders: string[], tokenizerPath: string | null, { task }: ModelFile): InferredModel {
  const because =
    task === 'tensor' ? 'its model.yaml says "task: tensor"' : 'it has no tokenizer.json (a tokenizer of transformers saves one)';
  return {
    task: task ?? 'tensor',
    taskIsExplicit: task !== undefined,
    tensorsBecause: because,
    tensorsAreFallback: task === undefined && SIGNS_OF_TEXT.some((name) => findFile(folders, name) !== null),
    padTokenId: tokenizerPath === null ? 0 : padTokenIdIfKnown(folders),
    text: null,
  };
}

/** A broken config.json is no obstacle for a model of which only the tensors are wanted. */
function padTokenIdIfKnown(folders: string[]): number {
  try {
    return padTokenIdOf(ModelJson.read(folders, 'config.json'));
  } catch (error) {
    if (error instanceof ModelFileError) return 0;
    throw error;
  }
}

function padTokenIdOf(config: ModelJson | null): number {
  return Math.max(config?.get('pad_token_id', z.number().int()) ?? 0, 0);
}

function textManifest(parts: ExportParts, tokenizerPath: string, task: Task): TextManifest {
  const { folders, config, modules, sentence, file } = parts;
  const transformer = readTransformerConfig(folders);
  const tokenizer = checkTokenizerConfig(folders, tokenizerPath);
  if (modules !== null && task !== 'embedding') checkCrossEncoder(modules, sentence);
  if (task === 'multi-vector' || (task === 'embedding' && file.task === undefined)) checkNoColbert(task, folders, modules, sentence);
  const isClassifier = task === 'sequence-classification' || task === 'token-classification' || task === 'text-pair-scoring';
  return {
    tokenizerPath,
    maxTokens: file.maxTokens ?? maxTokensOf(config, transformer.maxTokens ?? tokenizer.maxTokens),
    padTokenId: padTokenIdOf(config),
    tokenIds: file.tokenIds ?? false,
    lowerCase: transformer.lowerCase,
    specialTokens: tokenizer.specialTokens,
    truncationSide: tokenizer.truncationSide,
    positions: positionsOf(config, file),
    prompts: sentence.prompts,
    dimensions: task === 'embedding' ? (file.dimensions ?? dimensionsOf(config)) : null,
    sentence: { ...pipelineOf(parts, transformer, task), truncateTo: sentence.truncateTo },
    splade: task === 'sparse' ? readSplade(modules, transformer, sentence) : PLAIN_SPLADE,
    skipFirstToken: file.skipFirstToken ?? false,
    embeddingOutput: file.embeddingOutput ?? null,
    labels: file.labels ?? (isClassifier ? labelsOf(config) : null),
    activation: isClassifier ? activationOf(config, sentence) : null,
  };
}

/** Modules after the transformer of a CrossEncoder make other scores of its logits. */
function checkCrossEncoder([, next]: SentenceModule[], { modelType }: SentenceConfig): void {
  if (next === undefined || modelType !== 'CrossEncoder') return;
  throw new ModelFileError(
    `modules.json: expected a CrossEncoder of a Transformer alone but found "${next.type}"; set "task: tensor" in model.yaml to have the graph's own outputs`,
  );
}

/**
 * ColBERT has other tokens for queries than for documents, and leaves out vectors of some. Its files may look like those of an
 * embedding model, but the mean of its vectors is no embedding.
 */
function checkNoColbert(task: Task, folders: string[], modules: SentenceModule[] | null, { modelType }: SentenceConfig): void {
  const found = ['artifact.metadata', 'config_colbert.json'].map((name) => findFile(folders, name)).find((path) => path !== null);
  const type =
    modules?.find((each) => each.type.startsWith('pylate.'))?.type ?? (/colbert|multivector/i.test(modelType) ? modelType : null);
  if (found === undefined && type === null) return;
  throw new ModelFileError(
    `task "${task}": ${found ?? `"${type}"`} says that queries and documents get tokens of their own (ColBERT), which is not done here; set "task: tensor" in model.yaml and send the token ids`,
  );
}

function inferTask({ config, modules, sentence, file }: ExportParts): { task: Task; because: string | null } {
  const { modelType } = sentence;
  if (modelType === 'SparseEncoder' || modules?.some(({ kind }) => kind === 'SpladePooling')) return { task: 'sparse', because: null };
  if (modelType !== 'SentenceTransformer' && modelType !== 'CrossEncoder') {
    throw new ModelFileError(
      `config_sentence_transformers.json: expected a SentenceTransformer, a CrossEncoder or a SparseEncoder but found "${modelType}"; set "task: tensor" in model.yaml to serve its tensors`,
    );
  }
  if (modules !== null && modelType !== 'CrossEncoder') return { task: 'embedding', because: null };
  const architecture = config?.get('architectures', z.array(z.string()))?.[0] ?? '';
  if (architecture.endsWith('ForSequenceClassification'))
    return { task: labelCountOf(config, file) === 1 ? 'text-pair-scoring' : 'sequence-classification', because: null };
  if (architecture.endsWith('ForTokenClassification')) return { task: 'token-classification', because: null };
  if (architecture.endsWith('Model')) return { task: 'embedding', because: null };
  const found = config === null ? 'there is no config.json' : `config.json names the architecture "${architecture}"`;
  return { task: 'tensor', because: `${found}, from which no text task can be told; set task in model.yaml` };
}

function labelCountOf(config: ModelJson | null, { labels }: ModelFile): number | null {
  return labels?.length ?? labelsOf(config)?.length ?? config?.get('num_labels', count) ?? null;
}

function pipelineOf({ folders, modules, sentence, file }: ExportParts, transformer: TransformerConfig, task: Task): SentencePipeline {
  const pooling = file.pooling === undefined ? null : file.pooling === 'none' ? [] : [file.pooling].flat();
  const overrides = { pooling, normalize: file.normalize ?? null };
  if (task !== 'embedding') return plainPipeline(overrides);
  if (modules === null) {
    const stray = findFile(folders, '1_Pooling/config.json');
    if (stray === null || pooling !== null) return plainPipeline(overrides);
    throw new ModelFileError(
      `${stray}: there is a pooling but no modules.json that says where it belongs; add modules.json or set pooling in model.yaml`,
    );
  }
  const pipeline = readPipeline(modules, overrides);
  const obstacle =
    sentence.modelType === 'CrossEncoder' ? 'config_sentence_transformers.json: a CrossEncoder has no embeddings' : transformer.obstacle;
  return { ...pipeline, obstacle: pipeline.obstacle ?? obstacle };
}

/** Keys that models trained for it have, and that vLLM reads. */
function dimensionsOf(config: ModelJson | null): DimensionsRule {
  const listed = config?.get('matryoshka_dimensions', z.array(count.min(1)).min(1).max(1024)) ?? null;
  return listed ?? (config?.get('is_matryoshka', z.boolean()) === true ? 'any' : null);
}

const label = z.union([z.string(), z.number().transform(String)]);
const labelsSchema = z.union([z.array(label).max(LABELS_MAX), z.record(z.string(), label)]);

/** `id2label`, by number or as a list; labels that are numbers become their digits. */
function labelsOf(config: ModelJson | null): string[] | null {
  const found = config?.get('id2label', labelsSchema) ?? [];
  const entries = Object.entries(found);
  if (entries.length === 0) return null;
  const labels: string[] = [];
  for (const [id, name] of entries) {
    if (!LABEL_ID.test(id))
      throw new ModelFileError(`${config?.path}: id2label: expected class numbers below ${LABELS_MAX} as keys but found "${id}"`);
    labels[Number(id)] = name;
  }
  return Array.from(labels, (name, id) => name ?? `LABEL_${id}`);
}

/** PyTorch's activations by the class name at the end of a path. */
const ACTIVATIONS: Record<string, Activation> = { Identity: 'none', Sigmoid: 'sigmoid', Softmax: 'softmax' };
const PROBLEMS: Record<string, Activation | null> = {
  regression: 'none',
  multi_label_classification: 'sigmoid',
  single_label_classification: null,
};

function activationOf(config: ModelJson | null, sentence: SentenceConfig): Activation | null {
  const nested = config?.get('sentence_transformers', z.looseObject({ activation_fn: z.string().nullish() }))?.activation_fn ?? null;
  const named = sentence.activation ?? nested ?? config?.get('sbert_ce_default_activation_function', z.string()) ?? null;
  const problem = config?.get('problem_type', z.string()) ?? null;
  if (named !== null) {
    const activation = named.startsWith('torch.') ? ACTIVATIONS[named.split('.').at(-1) as string] : undefined;
    if (activation !== undefined) return activation;
    throw new ModelFileError(
      `activation_fn: expected Identity, Sigmoid or Softmax of torch.nn but found "${named}"; set "task: tensor" in model.yaml to have the logits`,
    );
  }
  if (problem === null) return null;
  const activation = Object.hasOwn(PROBLEMS, problem) ? PROBLEMS[problem] : undefined;
  if (activation !== undefined) return activation;
  throw new ModelFileError(
    `${config?.path}: expected problem_type to be one of ${Object.keys(PROBLEMS).join(', ')} but found "${problem}"`,
  );
}

/** What the files state, but not more than the model has positions for. */
function maxTokensOf(config: ModelJson | null, stated: number | null): number {
  const table = config?.get('max_position_embeddings', z.number().int()) ?? null;
  const positions =
    table === null || table <= 0 ? null : table - (isOffset(config) ? (config?.get('pad_token_id', z.number().int()) ?? 1) + 1 : 0);
  const limits = [positions, stated].filter((limit): limit is number => limit !== null && limit > 0 && limit < LENGTH_UNLIMITED);
  return limits.length === 0 ? MAX_TOKENS_DEFAULT : Math.floor(Math.min(...limits));
}

function isOffset(config: ModelJson | null): boolean {
  return OFFSET_POSITIONS.test(config?.get('model_type', z.string()) ?? '');
}

function positionsOf(config: ModelJson | null, { positionStart }: ModelFile): PositionRule | null {
  if (positionStart !== undefined) return { kind: 'counted', start: positionStart };
  if (isOffset(config)) return { kind: 'after-padding', padTokenId: config?.get('pad_token_id', count) ?? 1 };
  return PLAIN_POSITIONS.test(config?.get('model_type', z.string()) ?? '') ? { kind: 'counted', start: 0 } : null;
}

export { ModelFileError } from './model-files';
