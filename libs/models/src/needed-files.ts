import { join, relative } from 'node:path';
import { readModules } from './sentence/modules';

/** Files that say what a model is, or by their presence what it is not. Pickles and code are not among them. */
const NAMES = ['model.yaml', 'vocab.txt', 'sentencepiece.bpe.model', 'spiece.model', 'artifact.metadata'];
/** In the model's folder, or in the folder of a module or of the graph. */
const JSON_FILE = /^([^./][^/]*\/)?[^./][^/]*\.json$/;
/** Kinds of modules that have weights of their own beside the graph. */
const WITH_WEIGHTS = ['Dense', 'LayerNorm'];

/** Whether a file of an export, by its path in it, is read beside the graph and the weights. */
export function isDescription(path: string): boolean {
  return NAMES.includes(path) || JSON_FILE.test(path);
}

/**
 * Paths of the weights that the modules of a sentence-transformers export have beside the graph, relative to its folder, where
 * `modules.json` is already. Throws a `ModelFileError` when that cannot be read.
 */
export function layerWeightsIn(folder: string): string[] {
  return (readModules([folder]) ?? [])
    .filter(({ kind }) => WITH_WEIGHTS.includes(kind))
    .map((module) => relative(folder, join(module.folder, 'model.safetensors')));
}
