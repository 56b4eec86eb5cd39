import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { checkFile, findFile, readExport, ModelFileError } from './hugging-face';
import { mergeRowsOf, modelFileSchema, type ModelFile, type ModelManifest } from './manifest';

/** Names of models: no path can be built from one. */
export const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const VERSION = /^[1-9][0-9]{0,8}$/;
const OLD_MERGE_KEY = 'model.yaml: batchInvariant is now called mergeRows; write "mergeRows: never" for true and "mergeRows: auto" for false';
const MODEL_FILES = ['model.onnx', 'onnx/model.onnx'];

/** One model version that was found; exactly one of `manifest` and `reason` is null. */
export interface RepositoryEntry {
  name: string;
  version: string;
  manifest: ModelManifest | null;
  /** Why the files cannot be served. */
  reason: string | null;
}

interface Candidate {
  version: string;
  folder: string;
  modelPath: string;
}

/**
 * Lists the model versions of a repository, ordered by name and version. A folder is either
 * `<model>/<version>/model.onnx` or a Hugging Face export (`<model>/model.onnx` or `<model>/onnx/model.onnx`), which is
 * version 1. Links may lead out of the repository: what they point to was chosen by whoever filled it, and requests only
 * look up names in the result. Reads files synchronously; never throws for a single bad model, only when `modelsDir`
 * cannot be read.
 */
export function scanRepository(modelsDir: string): RepositoryEntry[] {
  return listFolder(modelsDir)
    .filter((name) => !name.startsWith('.') && isFolder(join(modelsDir, name)))
    .sort()
    .flatMap((name) => {
      try {
        return scanModel(modelsDir, name);
      } catch (error) {
        return [failure(name, '1', (error as Error).message)];
      }
    });
}

function scanModel(modelsDir: string, name: string): RepositoryEntry[] {
  const folder = join(modelsDir, name);
  const failed = (version: string, reason: string): RepositoryEntry => failure(name, version, reason);
  if (!MODEL_NAME.test(name)) return [failed('1', 'expected a name of letters, digits, ".", "_" and "-", at most 128; rename the folder')];
  const candidates = findVersions(folder);
  if (candidates.length === 0) {
    return [failed('1', `expected model.onnx in ${folder}, ${folder}/onnx or ${folder}/<version> but found none`)];
  }
  if (candidates.length > 1 && candidates[0]?.version === candidates[1]?.version) {
    return [failed('1', `${folder} holds both model.onnx and the folder 1; move one of them away`)];
  }
  return candidates.map((candidate) => {
    try {
      return { name, version: candidate.version, manifest: readManifest(name, folder, candidate), reason: null };
    } catch (error) {
      return failed(candidate.version, (error as Error).message);
    }
  });
}

function listFolder(modelsDir: string): string[] {
  try {
    return readdirSync(modelsDir);
  } catch (error) {
    throw new ModelFileError(`MODELS_DIR cannot be read: ${(error as Error).message}; create the folder or set MODELS_DIR`);
  }
}

function failure(name: string, version: string, reason: string): RepositoryEntry {
  return { name, version, manifest: null, reason };
}

function findVersions(folder: string): Candidate[] {
  const numbered = readdirSync(folder)
    .filter((name) => VERSION.test(name) && isFolder(join(folder, name)))
    .sort((a, b) => Number(a) - Number(b))
    .map((version) => ({ version, folder: join(folder, version), modelPath: join(folder, version, 'model.onnx') }));
  const exported = findFile([folder], MODEL_FILES[0] as string) ?? findFile([folder], MODEL_FILES[1] as string);
  return exported === null ? numbered : [{ version: '1', folder, modelPath: exported }, ...numbered];
}

function readManifest(name: string, folder: string, candidate: Candidate): ModelManifest {
  if (!statSync(candidate.modelPath, { throwIfNoEntry: false })?.isFile()) {
    throw new ModelFileError(`expected a file ${candidate.modelPath} but there is none`);
  }
  const file = readModelFile(folder);
  const inferred = readExport([...new Set([candidate.folder, folder])]);
  const task = file.task ?? inferred.task;
  if (task !== 'tensor' && inferred.text === null) {
    throw new ModelFileError(`task "${task}" needs a tokenizer.json in ${folder}; add it or set "task: tensor" in model.yaml`);
  }
  const text = task === 'tensor' || inferred.text === null ? null : { ...inferred.text, ...textOverrides(file) };
  const sequence = file.axes?.sequence ?? [];
  return {
    name,
    version: candidate.version,
    modelPath: candidate.modelPath,
    task,
    taskIsExplicit: file.task !== undefined,
    device: file.device ?? 'cpu',
    batchAxisName: file.axes?.batch ?? null,
    sequenceAxisNames: typeof sequence === 'string' ? [sequence] : sequence,
    padValues: { ...(inferred.text?.padTokenId ? { input_ids: inferred.text.padTokenId } : {}), ...file.padValues },
    paddingIsSafe: file.paddingIsSafe ?? null,
    mergeRows: mergeRowsOf(file),
    warnings: file.batchInvariant === undefined ? [] : [OLD_MERGE_KEY],
    batchRowsMax: file.batchRowsMax ?? null,
    batchTokensMax: file.batchTokensMax ?? null,
    runTimeoutMs: file.runTimeoutMs ?? null,
    deduplicate: file.deduplicate ?? true,
    timeoutMs: file.realtime?.timeoutMs ?? null,
    sloMs: file.realtime?.sloMs ?? null,
    tags: file.tags ?? [],
    lanes: file.lanes ?? null,
    text,
  };
}

function readModelFile(folder: string): ModelFile {
  const path = findFile([folder], 'model.yaml');
  if (path === null) return {};
  let content: unknown;
  try {
    content = parse(readFileSync(path, 'utf8')) ?? {};
  } catch (error) {
    throw new ModelFileError(`${path}: ${(error as Error).message}`);
  }
  return checkFile(path, modelFileSchema, content);
}

/** The keys of `model.yaml` that replace what was read from the export. */
function textOverrides(file: ModelFile): object {
  const { maxTokens, pooling, normalize, embeddingOutput, labels } = file;
  const overrides = { maxTokens, pooling, normalize, embeddingOutput, labels };
  return Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // a link to nowhere or in a circle: not a model
  }
}
