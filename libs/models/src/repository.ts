import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { withPresentNames } from '@app/config';
import { parse } from 'yaml';
import { filesBelow, Fingerprint } from './fingerprint';
import { checkWeightFiles } from './model-bytes';
import { chooseGraph, hasGraph } from './graph-file';
import { graphManifest, type GraphManifest } from './graph/graph-manifest';
import { readExport } from './hugging-face';
import { mergeRowsOf, modelFileSchema, type ModelFile, type ModelManifest } from './manifest';
import type { DegradeStep } from './types';
import { checkFile, findFile, ModelFileError, readBounded, unusable } from './model-files';
import { isModelVersion } from './model-version';

/** One part of a model's name: no path can be built from one. */
const NAME_PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
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
 * The versions of one model. Of those that are in `known` with the same files, the known entry: their files are not read. Where
 * it cannot be told which versions there are, each known one fails; version 1 where none is known. Never throws.
 */
export function scanModel(modelsDir: string, name: string, known: readonly RepositoryEntry[] = []): RepositoryEntry[] {
  try {
    return scanVersions(modelsDir, name, known);
  } catch (error) {
    const versions = known.length > 0 ? known.map(({ version }) => version) : ['1'];
    return versions.map((version) => failure(name, version, (error as Error).message));
  }
}

/** Whether a model is in the folder, or may be there and cannot be read. Never throws. */
export function mayHoldModel(modelsDir: string, name: string): 'no' | 'yes' | 'unreadable' {
  if (!isModelName(name)) return 'no';
  try {
    return isModel(join(modelsDir, name)) ? 'yes' : 'no';
  } catch (error) {
    return isMissing(error) ? 'no' : 'unreadable';
  }
}

/** Whether a name may be that of a model: one part, or two with a slash between them. */
export function isModelName(name: string): boolean {
  const parts = name.split('/');
  return parts.length <= 2 && parts.every((part) => NAME_PART.test(part));
}

/**
 * The versions in a model's folder, in order; a graph without a folder of its own is `unversioned`. Empty where there is no such folder.
 */
export function versionsIn(folder: string): { versions: string[]; unversioned: boolean } {
  return isFolder(folder) ? { versions: versionsOf(folder), unversioned: hasGraph(folder) } : { versions: [], unversioned: false };
}

/** The graph that the `model.yaml` of a folder names; null: it names none, or there is no such file. Throws a `ModelFileError`. */
export function namedGraphIn(folder: string): string | null {
  return readModelFile(folder).file.file ?? null;
}

/** A model's own name, or the names of the models of an organisation. */
function namesIn(modelsDir: string, name: string): string[] {
  const folder = join(modelsDir, name);
  if (isModel(folder)) return [name];
  const below = foldersOf(folder, readdirSync(folder));
  return below.some((child) => mayHoldModel(folder, child) !== 'no') ? below.map((child) => `${name}/${child}`) : [name];
}

/** Whether a folder holds versions of one model, or its graph. Throws when it cannot be read. */
export function isModel(folder: string): boolean {
  return hasGraph(folder) || versionsOf(folder).length > 0 || hasSteps(folder);
}

/** Whether its `model.yaml` may make it a graph: who reads the file finds out. */
function hasSteps(folder: string): boolean {
  try {
    return /^steps\s*:/m.test(readBounded(join(folder, 'model.yaml'), MODEL_FILE_BYTES_MAX).toString('utf8'));
  } catch {
    return false; // there is none, or it cannot be read, which a model with a file of its own tells
  }
}

/** One version of a model that `scanRepository` has found; null: it is there no more. Reads no file of other versions. Never throws. */
export function readVersion(modelsDir: string, name: string, version: string): RepositoryEntry | null {
  const folder = join(modelsDir, name);
  try {
    const candidate = candidateOf(folder, name, version);
    return candidate === undefined ? null : readEntry(name, folder, candidate);
  } catch {
    return null; // its folder has gone
  }
}

/** As `RepositoryEntry.fingerprint`, of the files as they are now; null: there is no such version. Never throws. */
export function fingerprintOfVersion(modelsDir: string, name: string, version: string): string | null {
  const folder = join(modelsDir, name);
  try {
    const candidate = candidateOf(folder, name, version);
    return candidate === undefined ? null : fingerprintOf(folder, candidate);
  } catch {
    return null; // its folder has gone
  }
}

function candidateOf(folder: string, name: string, version: string): Candidate | undefined {
  return isModelName(name) ? findVersions(folder).find((candidate) => candidate.version === version) : undefined;
}

function scanVersions(modelsDir: string, name: string, known: readonly RepositoryEntry[]): RepositoryEntry[] {
  const folder = join(modelsDir, name);
  const failed = (version: string, reason: string): RepositoryEntry => failure(name, version, reason);
  if (!isModelName(name)) return [failed('1', 'expected a name of letters, digits, ".", "_" and "-", at most 128; rename the folder')];
  const candidates = findVersions(folder);
  if (candidates.length === 0) {
    return [failed('1', `expected model.onnx in ${folder}, ${folder}/onnx or ${folder}/<version> but found none`)];
  }
  if (candidates.length > 1 && candidates[0]?.version === candidates[1]?.version) {
    throw new ModelFileError(`${folder} holds both a graph and the folder 1; move one of them away`);
  }
  return candidates.map((candidate) => readEntry(name, folder, candidate, known));
}

/** One of `known` where the files are the same. */
function readEntry(name: string, folder: string, candidate: Candidate, known: readonly RepositoryEntry[] = []): RepositoryEntry {
  const { version } = candidate;
  try {
    const fingerprint = fingerprintOf(folder, candidate);
    const same = known.find((entry) => entry.version === version && entry.fingerprint === fingerprint);
    if (same !== undefined) return same;
    try {
      return { name, version, manifest: readManifest(name, folder, candidate), reason: null, fingerprint };
    } catch (error) {
      return { ...failure(name, version, (error as Error).message), fingerprint };
    }
  } catch (error) {
    return failure(name, version, (error as Error).message);
  }
}

/** Which versions serve whom. */
export const RELEASE_FILE = 'release.yaml';
/** What says where files came from, what they should answer, how they were made: it changes nothing of any version. */
const OTHER_FILES = new Set([RELEASE_FILE, 'samples.jsonl', 'variants.json', 'split.json', 'source.json']);
const counts = (path: string): boolean => !OTHER_FILES.has(path);

function fingerprintOf(folder: string, candidate: Candidate): string {
  const fingerprint = new Fingerprint().addFolder(folder, isOfEveryVersion);
  return (candidate.folder === folder ? fingerprint : fingerprint.addFolder(candidate.folder, counts)).digest();
}

/** Files of other versions do not count. */
const isOfEveryVersion = (path: string): boolean => counts(path) && !isModelVersion(path.split('/')[0] ?? '');

/**
 * All files that one version may be made of, in order, with names that do not depend on where the repository is. Empty: there is
 * no such version.
 */
export function filesOfVersion(modelsDir: string, name: string, version: string): { name: string; path: string }[] {
  const folder = join(modelsDir, name);
  const candidate = isFolder(folder) ? candidateOf(folder, name, version) : undefined;
  if (candidate === undefined) return [];
  const below = (root: string, prefix: string, isCounted?: (path: string) => boolean): { name: string; path: string }[] =>
    filesBelow(root, isCounted).map(({ path }) => ({ name: join(prefix, path), path: join(root, path) }));
  const shared = below(folder, '', isOfEveryVersion);
  return candidate.folder === folder ? shared : [...shared, ...below(candidate.folder, 'version', counts)];
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
  const isVersion = hasGraph(folder) || (numbered.length === 0 && hasSteps(folder));
  return isVersion ? [{ version: '1', folder }, ...numbered] : numbered;
}

function versionsOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => isModelVersion(name) && isVersionFolder(join(folder, name)))
    .sort((a, b) => Number(a) - Number(b));
}

function readManifest(name: string, folder: string, candidate: Candidate): ModelManifest {
  const { file, warnings } = readModelFiles(folder, candidate.folder);
  const graph = readGraph(name, candidate.folder, file);
  const modelPath = graph === null ? chooseGraph(candidate.folder, file.file ?? null) : null;
  if (modelPath !== null) checkWeightFiles(modelPath);
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
    graph,
    task,
    taskIsExplicit,
    tensorsBecause,
    tensorsAreFallback,
    device: file.device ?? 'cpu',
    batchAxisName: file.axes?.batch ?? null,
    inputAxisNames: file.axes?.inputs ?? {},
    sequenceAxisNames: typeof sequence === 'string' ? [sequence] : sequence,
    padValues: { ...(padTokenId ? { input_ids: padTokenId } : {}), ...file.padValues },
    paddingIsSafe: file.paddingIsSafe ?? null,
    mergeRows: mergeRowsOf(file),
    warnings,
    runRowsMax: file.runRowsMax ?? null,
    runTokensMax: file.runTokensMax ?? null,
    runTimeoutMs: file.runTimeoutMs ?? null,
    deduplicate: file.deduplicate ?? true,
    executorThreads: threadsByLane(file.executorThreads),
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

function threadsByLane(threads: ModelFile['executorThreads']): ModelManifest['executorThreads'] {
  if (typeof threads === 'number') return { realtime: threads, batch: threads };
  return { realtime: threads?.realtime ?? null, batch: threads?.batch ?? null };
}

/** Settings of a model with a file of its own. */
const OF_FILES = [
  'file',
  'device',
  'axes',
  'padValues',
  'paddingIsSafe',
  'mergeRows',
  'batchInvariant',
  'runRowsMax',
  'runTokensMax',
  'runTimeoutMs',
  'executorThreads',
];

/** Null: it has a file of its own. */
function readGraph(name: string, folder: string, file: ModelFile): GraphManifest | null {
  const { steps, outputs } = file;
  if (steps === undefined) {
    if (outputs === undefined) return null;
    throw new ModelFileError('model.yaml: expected "outputs" beside "steps" only; a model with a file of its own has the outputs of that');
  }
  const misplaced = Object.keys(file).filter((key) => OF_FILES.includes(key) && file[key as keyof ModelFile] !== undefined);
  if (misplaced.length > 0)
    throw new ModelFileError(
      `model.yaml: expected no ${misplaced.join(', ')} beside "steps", as each step has its own; ` +
        "write it into the model.yaml of the step's model",
    );
  if (hasGraph(folder)) throw new ModelFileError(`${folder} holds a graph of its own beside "steps" in model.yaml; remove one of them`);
  return graphManifest(name, steps, outputs ?? null);
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

/** Keys of the `model.yaml` in a version's own folder come before those of the one beside the versions. */
function readModelFiles(folder: string, versionFolder: string): { file: ModelFile; warnings: string[] } {
  const common = readModelFile(folder);
  if (versionFolder === folder) return common;
  const own = readModelFile(versionFolder);
  const { mergeRows, batchInvariant, ...shared } = common.file;
  // Two names of one setting: the version's own stands for both.
  const setsMerging = own.file.mergeRows !== undefined || own.file.batchInvariant !== undefined;
  const merging = setsMerging ? {} : { mergeRows, batchInvariant };
  return { file: { ...shared, ...merging, ...own.file }, warnings: [...common.warnings, ...own.warnings] };
}

function readModelFile(folder: string): { file: ModelFile; warnings: string[] } {
  const path = findFile([folder], 'model.yaml');
  if (path === null) return { file: {}, warnings: [] };
  const text = readBounded(path, MODEL_FILE_BYTES_MAX).toString('utf8');
  let content: unknown;
  try {
    content = parse(text, { logLevel: 'error' }) ?? {};
  } catch (error) {
    throw unusable(path, error);
  }
  const { settings, warnings } = withPresentNames(content);
  const file = checkFile(path, modelFileSchema, settings);
  return {
    file,
    warnings: [...warnings.map((warning) => `model.yaml: ${warning}`), ...(file.batchInvariant === undefined ? [] : [OLD_MERGE_KEY])],
  };
}

/** Throws where it cannot be told: the version is not gone then. */
function isVersionFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (isMissing(error) || codeOf(error) === 'ELOOP') return false;
    throw error;
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;
const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // a link to nowhere or in a circle: not a model
  }
}
