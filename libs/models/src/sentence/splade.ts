import { z } from 'zod';
import { ModelFileError, ModelJson } from '../model-files';
import type { SentenceConfig, TransformerConfig } from './config';
import type { SentenceModule } from './modules';

/** How a sparse vector is made of the logits of a masked language model: sentence-transformers' `SpladePooling`. */
export interface Splade {
  pooling: 'max' | 'sum';
  /** ln(1 + ·) is taken twice, as in OpenSearch's models. */
  twice: boolean;
  /** Numbers that are kept, the largest; null: all. */
  activeMax: number | null;
  /** Why the modules cannot be computed outside of the graph; null when they can. */
  obstacle: string | null;
}

/** What SPLADE models without modules.json have. */
export const PLAIN_SPLADE: Splade = { pooling: 'max', twice: false, activeMax: null, obstacle: null };

/** `chunk_size` is about memory only. */
const KEYS = ['pooling_strategy', 'activation_function', 'embedding_dimension', 'word_embedding_dimension', 'chunk_size'];

/** Reads the modules of a SparseEncoder. Never throws for one that cannot be computed here: `obstacle` says why, as the graph may have it inside. */
export function readSplade(modules: SentenceModule[] | null, transformer: TransformerConfig, { activeMax }: SentenceConfig): Splade {
  if (modules === null) return { ...PLAIN_SPLADE, activeMax };
  try {
    return { ...spladeOf(modules, transformer), activeMax };
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    return { ...PLAIN_SPLADE, activeMax, obstacle: error.message };
  }
}

function spladeOf([first, second, third]: SentenceModule[], { logitsObstacle }: TransformerConfig): Omit<Splade, 'activeMax'> {
  if (first?.kind !== 'Transformer' && first?.kind !== 'MLMTransformer')
    throw cannotDo(first, 'an MLMTransformer or a Transformer as the first module');
  if (second?.kind !== 'SpladePooling') throw cannotDo(second, 'a SpladePooling as the second module');
  if (third !== undefined) throw cannotDo(third, 'no module after the SpladePooling');
  const obstacle = logitsObstacle[first.kind];
  if (obstacle !== null) throw new ModelFileError(obstacle);
  const file = ModelJson.read([second.folder], 'config.json');
  if (file === null)
    throw new ModelFileError(`expected a file ${second.folder}/config.json for the SpladePooling in modules.json but there is none`);
  file.refuseOthers(KEYS);
  return {
    pooling: file.get('pooling_strategy', z.enum(['max', 'sum'])) ?? 'max',
    twice: file.get('activation_function', z.enum(['relu', 'log1p_relu'])) === 'log1p_relu',
    obstacle: null,
  };
}

function cannotDo(module: SentenceModule | undefined, expected: string): ModelFileError {
  return new ModelFileError(`modules.json: expected ${expected} but found ${module === undefined ? 'none' : `"${module.type}"`}`);
}
