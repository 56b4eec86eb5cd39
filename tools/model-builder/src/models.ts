import { join } from 'node:path';
import { crash, crashAtZero, endless, hoard } from './bad-models';
import { builderFingerprint, isUpToDate, writeModel, type FileWriter, type ModelFiles } from './files';
import { encoderLarge } from './large-models';
import { bfloat16, fixed, half, noBatch, noMask, pooler, strings, twoAxes, types } from './tensor-models';
import { classifier, encoderSmall, encoderTiny, multiVector, reranker, splade, tokenClassifier } from './text-models';

/** Every model that can be built, by the name of its folder. */
const MODELS: Record<string, () => ModelFiles> = {
  'encoder-tiny': encoderTiny,
  'encoder-small': encoderSmall,
  classifier,
  'token-classifier': tokenClassifier,
  reranker,
  splade,
  'multi-vector': multiVector,
  'no-mask': noMask,
  pooler,
  'two-axes': twoAxes,
  half,
  strings,
  types,
  bfloat16,
  fixed,
  'no-batch': noBatch,
  crash,
  'crash-at-zero': crashAtZero,
  endless,
  hoard,
};
export const MODEL_NAMES: readonly string[] = Object.keys(MODELS);

/** Models of gigabytes: built only where they are named. */
const LARGE_MODELS: Record<string, () => Record<string, Uint8Array | FileWriter>> = { 'encoder-large': encoderLarge };

/** Builds the named models (default: all) into folders under `out`; returns the names of those that were not up to date. */
export function buildModels(out: string, names: readonly string[] = MODEL_NAMES): string[] {
  const fingerprint = builderFingerprint();
  return names.filter((name) => {
    const build = MODELS[name] ?? LARGE_MODELS[name];
    if (build === undefined)
      throw new Error(`expected one of ${[...MODEL_NAMES, ...Object.keys(LARGE_MODELS)].join(', ')} for --models but received "${name}"`);
    const folder = join(out, name);
    if (isUpToDate(folder, fingerprint)) return false;
    writeModel(folder, build(), fingerprint);
    return true;
  });
}
