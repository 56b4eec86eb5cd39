import { z } from 'zod';
import { ModelFileError, ModelJson } from '../model-files';

/** Texts that go before a caller's, by name. */
export interface Prompts {
  byName: ReadonlyMap<string, string>;
  /** Prompt of requests that name none; null: no prompt. */
  defaultName: string | null;
}

const NO_PROMPTS: Prompts = { byName: new Map(), defaultName: null };

/** `config_sentence_transformers.json`. */
export interface SentenceConfig {
  prompts: Prompts;
  /** Numbers of a vector that are kept; null: all. */
  truncateTo: number | null;
  /** `SentenceTransformer`, `CrossEncoder`, … */
  modelType: string;
  /** Numbers of a sparse vector that are kept, the largest; null: all. */
  activeMax: number | null;
  /** Path of the class that makes a CrossEncoder's scores of its logits; null: not said. */
  activation: string | null;
}

/** Reads `config_sentence_transformers.json`; throws a `ModelFileError` that names the key. */
export function readSentenceConfig(folders: string[]): SentenceConfig {
  const file = ModelJson.read(folders, 'config_sentence_transformers.json');
  return {
    prompts: file === null ? NO_PROMPTS : promptsOf(file),
    truncateTo: file?.get('truncate_dim', z.number().int().positive()) ?? null,
    modelType: file?.get('model_type', z.string()) ?? 'SentenceTransformer',
    activeMax: file?.get('max_active_dims', z.number().int().positive()) ?? null,
    activation: file?.get('activation_fn', z.string()) ?? null,
  };
}

function promptsOf(file: ModelJson): Prompts {
  const prompts = file.get('prompts', z.record(z.string(), z.string().nullable())) ?? {};
  const byName = new Map(Object.entries(prompts).map(([name, prompt]) => [name, prompt ?? '']));
  const defaultName = file.get('default_prompt_name', z.string());
  if (defaultName !== null && !byName.has(defaultName)) {
    throw new ModelFileError(
      `${file.path}: default_prompt_name is "${defaultName}", but prompts has ${[...byName.keys()].join(', ') || 'none'}`,
    );
  }
  return { byName, defaultName };
}

/** What the configuration of the Transformer module says about its texts. */
export interface TransformerConfig {
  /** Longest row in tokens; null: not said. */
  maxTokens: number | null;
  /** Texts are made lower case before anything else. */
  lowerCase: boolean;
  /** Why the result of the module is another than token vectors; null when it is not. */
  obstacle: string | null;
  /** Why it is another than the logits of a masked language model, by which module it is. */
  logitsObstacle: Record<'Transformer' | 'MLMTransformer', string | null>;
}

/** In the order in which sentence-transformers looks for them. */
const FILES = ['bert', 'roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet'].map(
  (kind) => `sentence_${kind}_config.json`,
);
/** Keys about how the graph was made, about its speed, or about calls other than `encode()`. */
const WITHOUT_EFFECT = [
  'unpad_inputs',
  'model_args',
  'model_kwargs',
  'config_args',
  'config_kwargs',
  'cache_dir',
  'query_length',
  'document_length',
];
const KEYS = [
  'max_seq_length',
  'do_lower_case',
  'transformer_task',
  'modality_config',
  'module_output_name',
  'processing_kwargs',
  'tokenizer_args',
  'processor_kwargs',
];

/**
 * Reads `sentence_bert_config.json` or what older versions called it. Throws a `ModelFileError` for a key that changes
 * the tokens in a way that is not done here.
 */
export function readTransformerConfig(folders: string[]): TransformerConfig {
  const file = FILES.map((name) => ModelJson.read(folders, name)).find((candidate) => candidate !== null && candidate.keys().length > 0);
  if (!file) return { maxTokens: null, lowerCase: false, obstacle: null, logitsObstacle: { Transformer: NO_LOGITS, MLMTransformer: null } };
  file.refuseOthers([...KEYS, ...WITHOUT_EFFECT]);
  const processing = Object.entries(file.get('processing_kwargs', z.record(z.string(), z.unknown())) ?? {});
  const texts = processing.find(([kind, values]) => (kind === 'text' || kind === 'common') && !isEmpty(values));
  if (texts !== undefined) throw notDone(file, `processing_kwargs.${texts[0]}`);
  const tokenizer = ['tokenizer_args', 'processor_kwargs'].map(
    (key) => [key, file.get(key, z.record(z.string(), z.unknown())) ?? {}] as const,
  );
  for (const [key, values] of tokenizer) if (Object.keys(values).some((name) => name !== 'model_max_length')) throw notDone(file, key);
  const lengthMax = tokenizer.map(([, values]) => values.model_max_length).find((length) => typeof length === 'number');
  return {
    maxTokens: file.get('max_seq_length', z.number().int().nonnegative()) ?? (lengthMax as number | undefined) ?? null,
    lowerCase: file.get('do_lower_case', z.boolean()) ?? false,
    obstacle: obstacleOf(file, 'feature-extraction', TOKEN_VECTORS),
    logitsObstacle: { Transformer: obstacleOf(file, 'feature-extraction', LOGITS), MLMTransformer: obstacleOf(file, 'fill-mask', LOGITS) },
  };
}

const isEmpty = (value: unknown): boolean => value === null || (typeof value === 'object' && Object.keys(value).length === 0);

function notDone(file: ModelJson, key: string): ModelFileError {
  return new ModelFileError(
    `${file.path}: ${key} changes how texts are tokenized, which is not supported; save the tokenizer without that key`,
  );
}

/** What a Transformer is to give: the task of transformers, and the name of its output there. */
interface TransformerResult {
  task: string;
  output: string;
}
const TOKEN_VECTORS: TransformerResult = { task: 'feature-extraction', output: 'last_hidden_state' };
const LOGITS: TransformerResult = { task: 'fill-mask', output: 'logits' };
const NO_LOGITS = 'modules.json: expected a Transformer with transformer_task "fill-mask" but there is no file that says so';

function obstacleOf(file: ModelJson, taskDefault: string, wanted: TransformerResult): string | null {
  const task = file.get('transformer_task', z.string()) ?? taskDefault;
  if (task !== wanted.task) return `${file.path}: expected transformer_task "${wanted.task}" but found "${task}"`;
  const output = file.get('module_output_name', z.string()) ?? 'token_embeddings';
  if (output !== 'token_embeddings') return `${file.path}: expected module_output_name "token_embeddings" but found "${output}"`;
  const modalities = file.get('modality_config', z.record(z.string(), z.unknown()));
  const text = z.object({ method: z.literal('forward'), method_output_name: z.literal(wanted.output) });
  if (modalities !== null && !text.safeParse(modalities.text).success)
    return `${file.path}: expected modality_config.text to be "forward" and "${wanted.output}"`;
  return null;
}
