import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { withPresentNames } from '@app/config';
import { parse } from 'yaml';
import { Fingerprint } from './fingerprint';
import { chooseGraph, hasGraph } from './graph-file';
import { readExport } from './hugging-face';
import { mergeRowsOf, modelFileSchema, type ModelFile, type ModelManifest } from './manifest';
import type { DegradeStep } from './types';
import { checkFile, findFile, ModelFileError, readBounded } from './model-files';

/** One part of a model's name: no path can be built from one. */
const NAME_PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const VERSION = /^[1-9][0-9]{0,8}$/;
/** Parsing takes up to a second at this length: keys are compared each with each. */
const MODEL_FILE_BYTES_MAX = 32 * 1024;
const OLD_MERGE_KEY =
  'model.yaml: batchInvariant is now called mergeRows; write "mergeRows: never" for true and "mergeRows: auto" for false';

/** One model version that was found; exactly one of `manifest` and `reason` is null. */
export interface RepositoryEntry {
  name: string;
  version: string;
  manifest: ModelManifest | null;
  /** Why the files cannot be served. */
  reason: string | null;
  /** Of the files that were read, and of the settings of its `model.yaml`. */
  fingerprint: string;
}

/** A folder that holds one version. */
interface Candidate {
  version: string;
  folder: string;
}

/**
 * Lists the model versions of a repository, ordered by name and version. A folder is either
 * `<model>/<version>/model.onnx`, or an export with its graph in `<model>` or `<model>/onnx`, which is version 1, or
 * holds such folders, which are then called `<organisation>/<model>`. Links may lead out of the repository: what they
 * point to was chosen by whoever filled it, and requests only look up names in the result. Reads files synchronously;
 * never throws for a single bad model, only when `modelsDir` cannot be read.
 */
export function scanRepository(modelsDir: string): RepositoryEntry[] {
  return modelNames(modelsDir).flatMap((name) => scanModel(modelsDir, name));
}

/** Names of all that looks like a model, in order. Throws only when `modelsDir` cannot be read. */
export function modelNames(modelsDir: string): string[] {
  return foldersOf(modelsDir, listFolder(modelsDir)).flatMap((name) => {
    try {
      return namesIn(modelsDir, name);
    } catch {
      return [name]; // `scanModel` says why it cannot be read
    }
  });
}

/**
 * The versions of one model. Of those that are in `known` with the same files, the known entry: their files are not read. Never
 * throws.
 */
export function scanModel(modelsDir: string, name: string, known: readonly RepositoryEntry[] = []): RepositoryEntry[] {
  try {
    return scanVersions(modelsDir, name, known);
  } catch (error) {
    return [failure(name, '1', (error as Error).message)];
  }
}

/** A model's own name, or the names of the models of an organisation. */
function namesIn(modelsDir: string, name: string): string[] {
  const folder = join(modelsDir, name);
  if (isModel(folder)) return [name];
  const below = foldersOf(folder, readdirSync(folder));
  return below.some((child) => isModel(join(folder, child))) ? below.map((child) => `${name}/${child}`) : [name];
}

function isModel(folder: string): boolean {
  return hasGraph(folder) || versionsOf(folder).length > 0;
}

/** One version of a model that `scanRepository` has found; null: it is there no more. Reads no file of other versions. Never throws. */
export function readVersion(modelsDir: string, name: string, version: string): RepositoryEntry | null {
  const folder = join(modelsDir, name);
  try {
    const candidate = isName(name) ? findVersions(folder).find((other) => other.version === version) : undefined;
    return candidate === undefined ? null : readEntry(name, folder, candidate);
  } catch {
    return null; // its folder has gone
  }
}

const isName = (name: string): boolean => name.split('/').every((part) => NAME_PART.test(part));

function scanVersions(modelsDir: string, name: string, known: readonly RepositoryEntry[]): RepositoryEntry[] {
  const folder = join(modelsDir, name);
  const failed = (version: string, reason: string): RepositoryEntry => failure(name, version, reason);
  if (!isName(name)) return [failed('1', 'expected a name of letters, digits, ".", "_" and "-", at most 128; rename the folder')];
  const candidates = findVersions(folder);
  if (candidates.length === 0) {
    return [failed('1', `expected model.onnx in ${folder}, ${folder}/onnx or ${folder}/<version> but found none`)];
  }
  if (candidates.length > 1 && candidates[0]?.version === candidates[1]?.version) {
    return [failed('1', `${folder} holds both a graph and the folder 1; move one of them away`)];
  }
  return candidates.map((candidate) => readEntry(name, folder, candidate, known));
}

/** `known`: one of the same files is not read again. */
function readEntry(name: string, folder: string, candidate: Candidate, known: readonly RepositoryEntry[] = []): RepositoryEntry {
  const { version } = candidate;
  try {
    const fingerprint = fingerprintOf(folder, candidate);
    try {
      const same = known.find((entry) => entry.version === version && entry.fingerprint === fingerprint);
      if (same !== undefined) return same;
      return { name, version, manifest: readManifest(name, folder, candidate), reason: null, fingerprint };
    } catch (error) {
      return { ...failure(name, version, (error as Error).message), fingerprint };
    }
  } catch (error) {
    return failure(name, version, (error as Error).message);
  }
}

/**
 * The fingerprint of the files of one version as they are now, as `scanRepository` gives it, without reading them. Null where
 * there is no such version (any more). Throws where `scanRepository` has a reason instead.
 */
export function fingerprintOfVersion(modelsDir: string, name: string, version: string): string | null {
  const folder = join(modelsDir, name);
  if (!isFolder(folder)) return null;
  const candidate = findVersions(folder).find((other) => other.version === version);
  return candidate === undefined ? null : fingerprintOf(folder, candidate);
}

/** Which versions serve whom: changes nothing of any version. */
export const RELEASE_FILE = 'release.yaml';

/** Of one version: files of the others do not count. */
function fingerprintOf(folder: string, candidate: Candidate): string {
  const fingerprint = new Fingerprint().addFolder(folder, (path) => path !== RELEASE_FILE && !VERSION.test(path.split('/')[0] ?? ''));
  return (candidate.folder === folder ? fingerprint : fingerprint.addFolder(candidate.folder)).digest();
}

function foldersOf(folder: string, names: string[]): string[] {
  return names.filter((name) => !name.startsWith('.') && isFolder(join(folder, name))).sort();
}

function listFolder(modelsDir: string): string[] {
  try {
    return readdirSync(modelsDir);
  } catch (error) {
    throw new ModelFileError(`MODELS_DIR cannot be read: ${(error as Error).message}; create the folder or set MODELS_DIR`);
  }
}

function failure(name: string, version: string, reason: string): RepositoryEntry {
  return { name, version, manifest: null, reason, fingerprint: '' };
}

function findVersions(folder: string): Candidate[] {
  const numbered = versionsOf(folder).map((version) => ({ version, folder: join(folder, version) }));
  return hasGraph(folder) ? [{ version: '1', folder }, ...numbered] : numbered;
}

function versionsOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => VERSION.test(name) && isFolder(join(folder, name)))
    .sort((a, b) => Number(a) - Number(b));
}

function readManifest(name: string, folder: string, candidate: Candidate): ModelManifest {
  const { file, warnings } = readModelFile(folder);
  const modelPath = chooseGraph(candidate.folder, file.file ?? null);
  const { task, taskIsExplicit, tensorsBecause, tensorsAreFallback, padTokenId, text } = readExport(
    [...new Set([candidate.folder, folder])],
    file,
  );
  if (task !== 'tensor' && text === null) {
    throw new ModelFileError(`task "${task}" needs a tokenizer.json in ${folder}; add it or set "task: tensor" in model.yaml`);
  }
  const sequence = file.axes?.sequence ?? [];
  return {
    name,
    version: candidate.version,
    modelPath,
    task,
    taskIsExplicit,
    tensorsBecause,
    tensorsAreFallback,
    device: file.device ?? 'cpu',
    batchAxisName: file.axes?.batch ?? null,
    sequenceAxisNames: typeof sequence === 'string' ? [sequence] : sequence,
    padValues: { ...(padTokenId ? { input_ids: padTokenId } : {}), ...file.padValues },
    paddingIsSafe: file.paddingIsSafe ?? null,
    mergeRows: mergeRowsOf(file),
    warnings,
    runRowsMax: file.runRowsMax ?? null,
    runTokensMax: file.runTokensMax ?? null,
    runTimeoutMs: file.runTimeoutMs ?? null,
    deduplicate: file.deduplicate ?? true,
    pinned: file.pinned ?? false,
    timeoutMs: file.realtime?.timeoutMs ?? null,
    sloMs: file.realtime?.sloMs ?? null,
    tags: file.tags ?? [],
    lanes: file.lanes ?? null,
    cache: file.cache ?? null,
    degrade: degradeSteps(file.degrade),
    labels: file.labels ?? text?.labels ?? null,
    text,
  };
}

/** Nothing comes after `refuse`. */
function degradeSteps(steps: ModelFile['degrade'] = []): DegradeStep[] {
  const end = steps.indexOf('refuse');
  return steps.slice(0, end < 0 ? steps.length : end).flatMap((step): DegradeStep[] => {
    if (step === 'refuse') return [];
    if (step === 'cached') return [{ kind: 'cached' }];
    return [{ kind: 'model', model: step.model, version: step.version ?? null, sameSpace: step.sameSpace }];
  });
}

function readModelFile(folder: string): { file: ModelFile; warnings: string[] } {
  const path = findFile([folder], 'model.yaml');
  if (path === null) return { file: {}, warnings: [] };
  const text = readBounded(path, MODEL_FILE_BYTES_MAX).toString('utf8');
  let content: unknown;
  try {
    content = parse(text, { logLevel: 'error' }) ?? {};
  } catch (error) {
    throw new ModelFileError(`${path}: ${(error as Error).message}`);
  }
  const { settings, warnings } = withPresentNames(content);
  const file = checkFile(path, modelFileSchema, settings);
  return {
    file,
    warnings: [...warnings.map((warning) => `model.yaml: ${warning}`), ...(file.batchInvariant === undefined ? [] : [OLD_MERGE_KEY])],
  };
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // a link to nowhere or in a circle: not a model
  }
}
