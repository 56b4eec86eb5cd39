import { readdirSync, statSync } from 'node:fs';
import { isAbsolute, join, normalize } from 'node:path';
import { ModelFileError } from './model-files';

/** In the order in which they are preferred. */
const USUAL = ['model.onnx', 'onnx/model.onnx'];

/** Whether a folder holds any graph, in itself or in `onnx/`. */
export function hasGraph(folder: string): boolean {
  return graphsOf(folder).length > 0;
}

/**
 * The graph of a folder: what `model.yaml` names, or else `model.onnx`, `onnx/model.onnx` or the only other `.onnx` file
 * there. Throws a `ModelFileError` when there is none, or when it cannot be told which one is meant.
 */
export function chooseGraph(folder: string, named: string | null): string {
  if (named !== null) return namedGraph(folder, named);
  const graphs = graphsOf(folder);
  const chosen = preferredGraph(graphs);
  if (chosen !== null) return join(folder, chosen);
  if (graphs.length === 0) throw new ModelFileError(`expected a file ${join(folder, 'model.onnx')} but there is none`);
  throw new ModelFileError(`${folder} holds ${graphs.join(', ')}; say in model.yaml which one to serve, for example "file: ${graphs[0]}"`);
}

/** Which of these graphs a folder serves where nothing names one; null: there is none, or it cannot be told. */
export function preferredGraph(graphs: readonly string[]): string | null {
  return USUAL.find((name) => graphs.includes(name)) ?? (graphs.length === 1 ? (graphs[0] ?? null) : null);
}

/** Whether a path within a folder is that of a graph which is found without being named. */
export function isFoundGraph(path: string): boolean {
  return /^(onnx\/)?[^./][^/]*\.onnx$/.test(path);
}

function namedGraph(folder: string, named: string): string {
  if (isAbsolute(named) || normalize(named).startsWith('..') || !named.endsWith('.onnx')) {
    throw new ModelFileError(`model.yaml: file: expected the path of an .onnx file within the model's folder but found "${named}"`);
  }
  const path = join(folder, named);
  if (!isFile(path))
    throw new ModelFileError(`model.yaml: file: expected a file ${path} but there is ${graphsOf(folder).join(', ') || 'none'}`);
  return path;
}

/** Paths of all graphs, relative to the folder, in order of name. */
function graphsOf(folder: string): string[] {
  const inFolder = (below: string): string[] =>
    listNames(join(folder, below))
      .filter((name) => name.endsWith('.onnx') && !name.startsWith('.') && isFile(join(folder, below, name)))
      .map((name) => join(below, name));
  return [...inFolder(''), ...inFolder('onnx')].sort();
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no such folder
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
