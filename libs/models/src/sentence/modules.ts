import { dirname, isAbsolute, join, normalize } from 'node:path';
import { z } from 'zod';
import { checkFile, findFile, ModelFileError, ModelJson, readJson } from '../model-files';
import { POOLING_MODES, type LayerSpec, type PoolingMode, type SentencePipeline } from './pipeline';

/** One entry of `modules.json`. */
export interface SentenceModule {
  /** Name of its class, without the package. */
  kind: string;
  /** As in the file, for messages. */
  type: string;
  /** Absolute path of its files. */
  folder: string;
}

const moduleSchema = z.strictObject({
  idx: z.number().optional(),
  name: z.string().optional(),
  path: z.string(),
  type: z.string(),
  /** Names of arguments of `encode()` that the module takes; nothing is passed here, as nothing is by default there. */
  kwargs: z.array(z.string()).optional(),
});
const PACKAGE = 'sentence_transformers.';

const LAYERS: readonly LayerSpec['kind'][] = ['Dense', 'LayerNorm', 'Normalize'];
/** Modules that change nothing outside of training. */
const IDENTITIES = ['Dropout'];

const FLAGS: Record<string, PoolingMode> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean_sqrt_len_tokens',
  pooling_mode_weightedmean_tokens: 'weightedmean',
  pooling_mode_lasttoken: 'lasttoken',
};
const POOLING_KEYS = ['word_embedding_dimension', 'embedding_dimension', 'pooling_mode', 'include_prompt', ...Object.keys(FLAGS)];
const modeSchema = z.enum(POOLING_MODES);

/** The modules of a sentence-transformers export in the order in which they run, or null when it has no modules.json. */
export function readModules(folders: string[]): SentenceModule[] | null {
  const path = findFile(folders, 'modules.json');
  if (path === null) return null;
  return checkFile(path, z.array(moduleSchema).min(1), readJson(path)).map(({ type, path: own }) => {
    if (isAbsolute(own) || normalize(own).startsWith('..'))
      throw new ModelFileError(`${path}: expected a path inside of the model's folder but found "${own}"`);
    return { kind: type.startsWith(PACKAGE) ? (type.split('.').at(-1) as string) : '', type, folder: join(dirname(path), own) };
  });
}

/** What model.yaml may say instead; null: nothing. */
export interface PipelineOverrides {
  /** Empty: the graph pools. */
  pooling: PoolingMode[] | null;
  normalize: boolean | null;
}

/** The pipeline of an export without modules.json: the mean, unless model.yaml says otherwise. */
export function plainPipeline(overrides: PipelineOverrides): SentencePipeline {
  const { pooling, normalize } = overrides;
  return {
    pooling: pooling ?? ['mean'],
    poolingIsAsked: pooling !== null && pooling.length > 0,
    includePrompt: true,
    hiddenWidth: null,
    layers: [],
    normalize,
    truncateTo: null,
    obstacle: null,
  };
}

/**
 * The pipeline of a sentence-transformers export. Never throws for a module that cannot be computed here: `obstacle` says
 * why, as the graph may have it inside.
 */
export function readPipeline(modules: SentenceModule[], overrides: PipelineOverrides): SentencePipeline {
  try {
    return { ...plainPipeline(overrides), ...pipelineOf(modules, overrides) };
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    const last = modules.at(-1)?.kind === 'Normalize';
    return { ...plainPipeline(overrides), normalize: overrides.normalize ?? last, obstacle: error.message };
  }
}

function pipelineOf([transformer, pooling, ...rest]: SentenceModule[], overrides: PipelineOverrides): Partial<SentencePipeline> {
  if (transformer?.kind !== 'Transformer') throw cannotDo(transformer, 'expected a Transformer as the first module');
  if (pooling?.kind !== 'Pooling') throw cannotDo(pooling, 'expected a Pooling as the second module');
  const layers = rest.filter(({ kind }) => !IDENTITIES.includes(kind)).map(toLayer);
  layers.filter(({ kind }) => kind === 'Normalize').forEach(checkNormalize);
  const isLast = layers.at(-1)?.kind === 'Normalize';
  if (isLast) layers.pop();
  return { ...readPooling(pooling, overrides.pooling), layers, normalize: overrides.normalize ?? isLast };
}

function toLayer(module: SentenceModule): LayerSpec {
  const kind = LAYERS.find((known) => known === module.kind);
  if (kind === undefined) throw cannotDo(module, 'expected Dense, LayerNorm, Normalize or Dropout after the Pooling');
  return { kind, folder: module.folder };
}

function cannotDo(module: SentenceModule | undefined, expected: string): ModelFileError {
  return new ModelFileError(`modules.json: ${expected} but found ${module === undefined ? 'none' : `"${module.type}"`}`);
}

function checkNormalize({ folder }: LayerSpec): void {
  ModelJson.read([folder], 'config.json')?.refuseOthers([...ON_SENTENCE.keys]);
  checkOnSentence(ModelJson.read([folder], 'config.json'));
}

const ON_SENTENCE = { keys: ['module_input_name', 'module_output_name'], value: 'sentence_embedding' } as const;

/** Throws when a module reads or writes anything but the sentence's vector. */
export function checkOnSentence(config: ModelJson | null): void {
  for (const key of ON_SENTENCE.keys) {
    const value = config?.get(key, z.string()) ?? ON_SENTENCE.value;
    if (value !== ON_SENTENCE.value)
      throw new ModelFileError(`${config?.path}: expected ${key} to be "${ON_SENTENCE.value}" but found "${value}"`);
  }
}

function readPooling(
  { folder }: SentenceModule,
  override: PoolingMode[] | null,
): Pick<SentencePipeline, 'pooling' | 'includePrompt' | 'hiddenWidth'> {
  const file = ModelJson.read([folder], 'config.json');
  if (file === null)
    throw new ModelFileError(`expected a file ${join(folder, 'config.json')} for the Pooling in modules.json but there is none`);
  file.refuseOthers(POOLING_KEYS);
  const width = z.number().int().positive();
  return {
    pooling: override ?? modesOf(file),
    includePrompt: file.get('include_prompt', z.boolean()) ?? true,
    hiddenWidth: file.get('embedding_dimension', width) ?? file.get('word_embedding_dimension', width),
  };
}

/** `pooling_mode`, or else the flags of older versions; the mean when there is neither. */
function modesOf(file: ModelJson): PoolingMode[] {
  const named = file.get('pooling_mode', z.union([modeSchema, z.array(modeSchema).min(1).max(16)]));
  if (named !== null) return [named].flat();
  const on = Object.entries(FLAGS).filter(([flag]) => file.get(flag, z.boolean()) === true);
  return on.length === 0 ? ['mean'] : on.map(([, mode]) => mode);
}
