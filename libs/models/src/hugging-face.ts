import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Task } from '@app/contracts';
import type { Activation, Pooling, TextManifest } from './manifest';

/** Raised for a file of a model that cannot be used; the message names it. */
export class ModelFileError extends Error {
  override readonly name = 'ModelFileError';
}

const count = z.number().int().nonnegative();

/** The keys of `config.json` that we read. Exports hold many more. */
const configSchema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  model_type: z.string().nullish(),
  id2label: z.record(z.string(), z.string()).nullish(),
  num_labels: count.nullish(),
  problem_type: z.string().nullish(),
  max_position_embeddings: count.nullish(),
  pad_token_id: z.number().int().nullish(),
  sentence_transformers: z.looseObject({ activation_fn: z.string().nullish() }).nullish(),
});
type HuggingFaceConfig = z.infer<typeof configSchema>;

const tokenizerConfigSchema = z.looseObject({ model_max_length: z.number().nullish() });
const sentenceConfigSchema = z.looseObject({ max_seq_length: count.nullish() });
const modulesSchema = z.array(z.looseObject({ type: z.string() }));
const poolingSchema = z.record(z.string(), z.unknown());

/** Models whose position table starts after the padding id, so that a few of its rows cannot be used. */
const OFFSET_POSITIONS = /roberta|camembert|mpnet|longformer/;
/** `model_max_length` of tokenizers that know no limit is an enormous number. */
const LENGTH_UNLIMITED = 10_000_000;
const LABEL_ID = /^\d{1,5}$/;
const MAX_TOKENS_DEFAULT = 512;

/** What a Hugging Face or sentence-transformers export says, before `model.yaml` is applied. */
export interface InferredModel {
  task: Task;
  text: TextManifest | null;
}

/**
 * Reads config.json, tokenizer.json, tokenizer_config.json and the sentence-transformers files; each is taken from the
 * first of `folders` that has it. Throws a `ModelFileError` for one that cannot be read.
 */
export function readExport(folders: string[]): InferredModel {
  const config = readJson(folders, 'config.json', configSchema);
  const tokenizerPath = findFile(folders, 'tokenizer.json');
  if (tokenizerPath === null) return { task: 'tensor', text: null };
  const modules = readJson(folders, 'modules.json', modulesSchema);
  const labels = labelsOf(config);
  const task = inferTask(config, modules !== null, labels?.length ?? config?.num_labels ?? null);
  const text: TextManifest = {
    tokenizerPath,
    maxTokens: maxTokensOf(folders, config),
    padTokenId: Math.max(config?.pad_token_id ?? 0, 0),
    tokenIds: false,
    pooling: readPooling(folders),
    normalize: modules === null ? null : modules.some((module) => module.type.endsWith('.Normalize')),
    embeddingOutput: null,
    labels,
    activation: activationOf(config),
  };
  return { task, text };
}

/** Reads and checks a JSON file of the model; null when no folder has it. */
function readJson<T extends z.ZodType>(folders: string[], name: string, schema: T): z.infer<T> | null {
  const path = findFile(folders, name);
  if (path === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ModelFileError(`${path}: ${(error as Error).message}`);
  }
  return checkFile(path, schema, value);
}

/** Checks the content of a model's file against a schema; throws a `ModelFileError` that names file and keys. */
export function checkFile<T extends z.ZodType>(path: string, schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join('.') || 'content'}: ${issue.message}`);
  throw new ModelFileError(`${path}: ${issues.join('; ')}`);
}

/** Path of `name` in the first folder that has it, or null. */
export function findFile(folders: string[], name: string): string | null {
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

function inferTask(config: HuggingFaceConfig | null, isSentenceTransformer: boolean, labelCount: number | null): Task {
  if (isSentenceTransformer) return 'embedding';
  const architecture = config?.architectures?.[0] ?? '';
  if (architecture.endsWith('ForSequenceClassification')) return labelCount === 1 ? 'text-pair-scoring' : 'sequence-classification';
  if (architecture.endsWith('ForTokenClassification')) return 'token-classification';
  return architecture.endsWith('Model') ? 'embedding' : 'tensor';
}

function labelsOf(config: HuggingFaceConfig | null): string[] | null {
  const entries = Object.entries(config?.id2label ?? {});
  if (entries.length === 0) return null;
  const labels: string[] = [];
  for (const [id, label] of entries) {
    if (!LABEL_ID.test(id)) throw new ModelFileError(`config.json: id2label: expected class numbers below 100000 as keys but found "${id}"`);
    labels[Number(id)] = label;
  }
  return Array.from(labels, (label, id) => label ?? `LABEL_${id}`);
}

function activationOf(config: HuggingFaceConfig | null): Activation | null {
  if (config?.problem_type === 'regression' || config?.sentence_transformers?.activation_fn?.endsWith('.Identity')) return 'none';
  return config?.problem_type === 'multi_label_classification' ? 'sigmoid' : null;
}

/** The smallest of the limits that the files state. */
function maxTokensOf(folders: string[], config: HuggingFaceConfig | null): number {
  const tokenizer = readJson(folders, 'tokenizer_config.json', tokenizerConfigSchema);
  const sentence = readJson(folders, 'sentence_bert_config.json', sentenceConfigSchema);
  const offset = OFFSET_POSITIONS.test(config?.model_type ?? '') ? (config?.pad_token_id ?? 1) + 1 : 0;
  const positions = config?.max_position_embeddings ? config.max_position_embeddings - offset : null;
  const limits = [positions, tokenizer?.model_max_length, sentence?.max_seq_length].filter(
    (limit): limit is number => typeof limit === 'number' && limit > 0 && limit < LENGTH_UNLIMITED,
  );
  return limits.length === 0 ? MAX_TOKENS_DEFAULT : Math.floor(Math.min(...limits));
}

/** Reads the pooling of a sentence-transformers export; mean when it has none. */
function readPooling(folders: string[]): Pooling {
  const file = readJson(folders, '1_Pooling/config.json', poolingSchema);
  if (file === null) return 'mean';
  const flags: Record<string, Pooling> = {
    pooling_mode_mean_tokens: 'mean',
    pooling_mode_cls_token: 'cls',
    pooling_mode_max_tokens: 'max',
  };
  const on = Object.keys(file).filter((key) => key.startsWith('pooling_mode') && file[key] === true);
  const named = typeof file.pooling_mode === 'string' ? `pooling_mode_${file.pooling_mode}_tokens`.replace('cls_tokens', 'cls_token') : null;
  const mode = named ?? (on.length === 1 ? on[0] : undefined);
  const pooling = mode === undefined ? undefined : flags[mode];
  if (pooling !== undefined) return pooling;
  throw new ModelFileError(`1_Pooling/config.json: expected mean, cls or max pooling but found ${named ?? (on.join(' + ') || 'none')}; set "pooling" in model.yaml`);
}
