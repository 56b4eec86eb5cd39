import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SourceError } from './source-error';

/** A folder, perhaps with the graph in it that is meant. Paths are relative to the model's folder. */
interface WithGraph {
  /** Null: the one that the folder would be served with. */
  graph: string | null;
}

export type ModelUri =
  | ({ kind: 'file'; folder: string } & WithGraph)
  | ({ kind: 's3'; bucket: string; prefix: string } & WithGraph)
  | ({ kind: 'hf'; repository: string; revision: string | null } & WithGraph)
  | { kind: 'oci'; registry: string; repository: string; tag: string; digest: string | null; graph: null };

const FORMS =
  'expected file:///path, a path, s3://bucket/prefix, hf://organisation/model[@revision][/graph.onnx] or oci://registry/repository[:tag][@sha256:…]';
const BUCKET = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/?$/;
const HUB =
  /^hf:\/\/([A-Za-z0-9][A-Za-z0-9._-]{0,95}\/[A-Za-z0-9][A-Za-z0-9._-]{0,95})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{0,127}?))?(?:\/((?:[^/]+\/){0,4}[^/]+\.onnx))?\/?$/;
const IMAGE =
  /^oci:\/\/([A-Za-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9a-fA-F:]+\](?::\d{1,5})?)\/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;

/** Understands where a model is, in the words of KServe's storageUri. Throws a `SourceError`. */
export function parseModelUri(text: string): ModelUri {
  if (/^file:/i.test(text)) return ofPath(filePath(text));
  if (text.startsWith('s3://')) return ofBucket(text);
  if (text.startsWith('hf://')) return ofHub(text);
  if (text.startsWith('oci://')) return ofImage(text);
  if (text === '' || SCHEME.test(text)) throw unknown(text, FORMS);
  return ofPath(resolve(text));
}

/** What a model is called where nobody names it. Throws a `SourceError` where nothing tells. */
export function defaultName(uri: ModelUri): string {
  const parts = pathOf(uri)
    .split('/')
    .filter((part) => part !== '');
  const name = uri.kind === 'hf' ? uri.repository : parts.reverse().find((part) => !/^\d+$/.test(part));
  if (name === undefined) throw new SourceError('the source does not tell a name for the model; give it one with --name');
  return name;
}

function pathOf(uri: ModelUri): string {
  switch (uri.kind) {
    case 'file':
      return uri.folder;
    case 's3':
      return uri.prefix;
    case 'hf':
    case 'oci':
      return uri.repository;
  }
}

function filePath(text: string): string {
  try {
    return fileURLToPath(text);
  } catch {
    throw unknown(text, 'expected file:///absolute/path');
  }
}

function ofPath(path: string): ModelUri {
  const { folder, graph } = splitGraph(path.replace(/\/+$/, ''));
  return { kind: 'file', folder: folder || '/', graph };
}

function ofBucket(text: string): ModelUri {
  const [, bucket, path = ''] = BUCKET.exec(text) ?? [];
  if (bucket === undefined || path.split('/').some((part, _, parts) => (part === '' && parts.length > 1) || part === '.' || part === '..'))
    throw unknown(text, 'expected s3://bucket/prefix');
  const { folder, graph } = splitGraph(path);
  return { kind: 's3', bucket, prefix: folder === '' ? '' : `${folder}/`, graph };
}

function ofHub(text: string): ModelUri {
  const [, repository, revision = null, graph = null] = HUB.exec(text) ?? [];
  if (repository === undefined) throw unknown(text, 'expected hf://organisation/model, with @revision and /graph.onnx as needed');
  return { kind: 'hf', repository, revision, graph };
}

function ofImage(text: string): ModelUri {
  const [, registry, repository, tag = 'latest', digest = null] = IMAGE.exec(text) ?? [];
  if (registry === undefined || repository === undefined)
    throw unknown(text, 'expected oci://registry/repository, with :tag and @sha256:… as needed');
  return { kind: 'oci', registry, repository, tag, digest, graph: null };
}

/** `a/b/model.onnx` is the graph `model.onnx` of `a/b`, `a/b/onnx/model.onnx` the graph `onnx/model.onnx` of `a/b`. */
function splitGraph(path: string): { folder: string } & WithGraph {
  const [, folder = '', graph = null] = /^(.*?)\/?((?:onnx\/)?[^/]+\.onnx)$/.exec(path) ?? [];
  return graph === null ? { folder: path, graph: null } : { folder, graph };
}

function unknown(text: string, expected: string): SourceError {
  return new SourceError(`${expected} but received ${JSON.stringify(text.replace(/\/\/[^/@]*@/, '//…@').slice(0, 300))}`);
}
