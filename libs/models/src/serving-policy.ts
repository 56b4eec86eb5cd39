import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { ModelManifest } from './manifest';
import { findRandomOperator } from './random-operators';
import type { ServingPolicy } from './types';

export const NO_POLICY: ServingPolicy = { cache: null, degrade: [], head: null, tokenizerDigest: null };

/** Reads the graph of a model with `cache`, and the tokenizer where tokenizers are compared. Adds to the manifest's warnings what its owner should know. */
export async function readPolicy(manifest: ModelManifest, options: { comparesTokenizers: boolean }): Promise<ServingPolicy> {
  const { text, labels, degrade } = manifest;
  return {
    cache: await checkedCache(manifest),
    degrade,
    head: JSON.stringify([labels, text?.activation ?? null]),
    tokenizerDigest: text === null || !options.comparesTokenizers ? null : await digestOf(text.tokenizerPath),
  };
}

async function checkedCache({ cache, deduplicate, degrade, graph, modelPath, warnings }: ModelManifest): Promise<ServingPolicy['cache']> {
  if (cache === null && degrade.some(({ kind }) => kind === 'cached'))
    warnings.push('model.yaml: "cached" of degrade is never taken without cache');
  if (cache !== null && graph?.steps.some(({ fleet }) => fleet) === true) {
    warnings.push('model.yaml: cache is off because nobody tells when other nodes change the files of a step with "fleet"; remove cache');
    return null;
  }
  if (cache === null || cache.deterministic) return cache;
  const because = deduplicate ? await doubtAbout(modelPath) : 'deduplicate is false';
  if (because === null) return cache;
  warnings.push(
    `model.yaml: cache is off because ${because}; if equal inputs have equal answers all the same, set cache.deterministic: true`,
  );
  return null;
}

/** Why equal inputs may have different answers; null: they have equal ones. */
async function doubtAbout(modelPath: string | null): Promise<string | null> {
  if (modelPath === null) return 'the models of the steps are not looked through for random numbers';
  const operator = await findRandomOperator(modelPath);
  return operator === null ? null : `the graph names ${operator}, which may draw random numbers`;
}

/** Null: it cannot be read, and the tokenizer's own loading says why. */
async function digestOf(path: string): Promise<string | null> {
  const hash = createHash('sha256');
  try {
    for await (const part of createReadStream(path)) hash.update(part as Buffer);
    return hash.digest('hex');
  } catch {
    return null;
  }
}
