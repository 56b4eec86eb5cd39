import { rename, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import { externalDataOf, isDescription, isFoundGraph, layerWeightsIn, ModelFileError, namedGraphIn, preferredGraph } from '@app/models';
import type { SourceSettings } from '@app/config';
import { checkRoom } from './disk-room';
import { fetchFile } from './fetch-file';
import { makeIncoming, removeIncoming, sweepIncoming } from './incoming';
import type { SourceLimits } from './limits';
import type { FetchProgress, ModelSource, SourceFile } from './model-source';
import { openSource } from './open-source';
import { Place } from './place';
import { isCode, pathProblem } from './safe-path';
import { SourceError } from './source-error';
import { digestOf, SOURCE_RECORD, type FetchedFile, type SourceRecord } from './source-record';
import { defaultName, parseModelUri, type ModelUri } from './uri';

const MODEL_FILE = 'model.yaml';

export interface AddRequest {
  uri: string;
  /** Default: as the source calls it. */
  name?: string | undefined;
  /** Default: the next free number. */
  version?: string | undefined;
  /** Of the hub: a branch, a tag or a commit; as `@revision` of the URI. */
  revision?: string | undefined;
  /** What `SourceRecord.digest` must be, `sha256:…`. */
  digest?: string | undefined;
}

export interface AddOptions {
  modelsDir: string;
  settings: SourceSettings;
  limits: SourceLimits;
  progress: FetchProgress;
}

export interface AddedModel {
  name: string;
  version: string;
  record: SourceRecord;
}

/**
 * Fetches a model and puts it into the repository as a version, in one step, when it can be read there. Rejects with a
 * `SourceError`; the repository is as before then. A process that is killed leaves a folder that the next one removes.
 */
export async function addModel(request: AddRequest, { modelsDir, settings, limits, progress }: AddOptions): Promise<AddedModel> {
  const uri = withRevision(parseModelUri(request.uri), request.revision);
  const digest = checkedDigest(request.digest);
  const place = new Place(modelsDir, request.name ?? defaultName(uri), request.version ?? null);
  await sweepIncoming(modelsDir);
  const incoming = await makeIncoming(modelsDir);
  try {
    const source = await openSource(uri, { settings, limits, progress, scratch: join(incoming, 'layers') });
    const fetching = new Fetching(source, join(incoming, 'files'), { limits, progress });
    await fetching.take(uri.graph, place);
    const record = fetching.record();
    if (digest !== null && record.digest !== digest)
      throw new SourceError(
        `${record.uri}: expected files with the digest ${digest} but they have ${record.digest}; it was not put in place`,
      );
    const modelFile = await fetching.finish(record, join(incoming, MODEL_FILE));
    const version = await place.put({ files: fetching.folder, modelFile }, incoming);
    return { name: place.name, version, record };
  } catch (error) {
    throw explained(error, incoming);
  } finally {
    await removeIncoming(incoming);
  }
}

function withRevision(uri: ModelUri, revision: string | undefined): ModelUri {
  if (revision === undefined) return uri;
  if (uri.kind !== 'hf')
    throw new SourceError('--revision is for hf://; an oci:// URI ends with @sha256:…, and --digest compares the files of any source');
  if (uri.revision !== null) throw new SourceError('expected one revision but received two: @revision in the URI and --revision');
  // The URI's own rule for revisions.
  return parseModelUri(`hf://${uri.repository}@${revision}${uri.graph === null ? '' : `/${uri.graph}`}`);
}

function checkedDigest(digest: string | undefined): string | null {
  if (digest === undefined || /^sha256:[0-9a-f]{64}$/.test(digest)) return digest ?? null;
  throw new SourceError(`--digest: expected sha256: and 64 hexadecimal digits but received ${JSON.stringify(digest)}`);
}

function explained(error: unknown, incoming: string): unknown {
  if (error instanceof ModelFileError) return new SourceError(error.message.replaceAll(join(incoming, 'files'), 'the source'));
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  return code !== undefined && syscall !== undefined ? new SourceError(`the model cannot be written: ${message}`) : error;
}

/** Fetches of a source what the model needs, and no more. */
class Fetching {
  private readonly listed: Map<string, SourceFile>;
  private readonly fetched = new Map<string, FetchedFile>();

  constructor(
    private readonly source: ModelSource,
    readonly folder: string,
    private readonly options: { limits: SourceLimits; progress: FetchProgress },
  ) {
    this.listed = new Map(source.files.map((file) => [file.path, file]));
  }

  /** What describes the model says which graph and weights it has, and the graph says which files hold its own. */
  async take(graph: string | null, place: Place): Promise<void> {
    await this.fetch([...this.listed.keys()].filter(isDescription));
    await place.checkModelFile(this.fetched.has(MODEL_FILE) ? join(this.folder, MODEL_FILE) : null);
    const chosen = this.chooseGraph(graph, place.modelFolder);
    await this.fetch([chosen, ...layerWeightsIn(this.folder).filter((path) => this.listed.has(path))]);
    const beside = externalDataOf(join(this.folder, chosen)).map((location) => this.dataPath(chosen, location));
    await this.fetch(beside);
  }

  record(): SourceRecord {
    const files = [...this.fetched.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    const { uri, revision } = this.source;
    return { formatVersion: 1, uri, revision, digest: digestOf(files), fetchedAt: new Date().toISOString(), files };
  }

  /** Writes the record; `model.yaml` goes out of the version's folder to `modelFile`. Resolves with its path, or null when there is none. */
  async finish(record: SourceRecord, modelFile: string): Promise<string | null> {
    await writeFile(join(this.folder, SOURCE_RECORD), `${JSON.stringify(record, null, 2)}\n`);
    if (!this.fetched.has(MODEL_FILE)) return null;
    await rename(join(this.folder, MODEL_FILE), modelFile);
    return modelFile;
  }

  private async fetch(paths: string[]): Promise<void> {
    const { limits, progress } = this.options;
    const files = [...new Set(paths)]
      .filter((path) => !this.fetched.has(path) && path !== SOURCE_RECORD)
      .map((path) => this.listed.get(path) as SourceFile);
    const more = sumOf(files);
    const all = more + sumOf([...this.fetched.values()]);
    if (all > limits.bytesMax)
      throw new SourceError(
        `${this.source.uri}: the model has at least ${all} bytes, more than the ${limits.bytesMax} that are allowed; allow more with --bytes-max`,
      );
    await checkRoom(join(this.folder, '..'), more, limits.freeBytesMin);
    for (const file of files) {
      const sha256 = await fetchFile(this.source, file, join(this.folder, file.path), limits, progress);
      this.fetched.set(file.path, { path: file.path, bytes: file.bytes, sha256 });
    }
  }

  private chooseGraph(asked: string | null, modelFolder: string): string {
    const { uri } = this.source;
    const graphs = [...this.listed.keys()].filter((path) => path.endsWith('.onnx'));
    // A model.yaml that is there already holds for this version too.
    const named = namedGraphIn(existsSync(join(modelFolder, MODEL_FILE)) ? modelFolder : this.folder);
    if (asked !== null && named !== null && posix.normalize(named) !== asked)
      throw new SourceError(
        `${uri} asks for ${asked}, but "file: ${named}" in the model.yaml of the model is what is served; make them the same`,
      );
    const chosen = asked ?? (named === null ? null : posix.normalize(named)) ?? preferredGraph(graphs.filter(isFoundGraph));
    const choice = graphs.slice(0, 20).join(', ') || 'none';
    if (chosen === null && graphs.length === 0)
      throw new SourceError(`${uri} has no .onnx file; export the model first, for example with "optimum-cli export onnx"`);
    if (chosen === null)
      throw new SourceError(`${uri} has not one graph that is the usual one; end the URI with the one to serve, of: ${choice}`);
    if (!this.listed.has(chosen)) throw new SourceError(`${uri} has no ${chosen}; its graphs: ${choice}`);
    if (named === null && !isFoundGraph(chosen))
      throw new SourceError(
        `${chosen} is in a folder where it would not be found; write "file: ${chosen}" into ${join(modelFolder, MODEL_FILE)}, then add the model again`,
      );
    return chosen;
  }

  private dataPath(graph: string, location: string): string {
    const { uri } = this.source;
    const path = posix.join(posix.dirname(graph), location);
    const problem = location.startsWith('/') ? 'is absolute' : isCode(path) ? 'is one of a program' : pathProblem(path);
    if (problem !== null)
      throw new SourceError(`${uri}: ${graph} has weights in ${JSON.stringify(location)}, a path that ${problem}; it is not used`);
    if (this.listed.has(path)) return path;
    throw new SourceError(`${uri}: ${graph} has weights in ${path}, which the source does not have; it is not complete`);
  }
}

const sumOf = (files: readonly { bytes: number }[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
