import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { isModelVersion } from '@app/models';
import { parseDocument } from 'yaml';
import { CliError } from '../cli-error';

/** What belongs to one version, or to none. */
const LEFT_OUT = new Set(['release.yaml', 'samples.jsonl', 'variants.json']);

/** Where the files of a model version lie. */
export interface VersionFiles {
  /** The folder of the model. */
  folder: string;
  /** That of the version: the same for an export. */
  versionFolder: string;
  version: string;
  graph: string;
}

export function versionFiles(modelsDir: string, name: string, version: string, graph: string): VersionFiles {
  const folder = join(modelsDir, name);
  const own = join(folder, version);
  return { folder, versionFolder: graph.startsWith(`${own}/`) ? own : folder, version, graph };
}

/**
 * A repository of links in which variants lie beside the version that they were made of, as they will in the real one; nothing of
 * the real one is written to.
 */
export class ScratchRepository {
  private readonly folder: string;

  constructor(
    readonly modelsDir: string,
    name: string,
    private readonly files: VersionFiles,
  ) {
    this.folder = join(modelsDir, name);
    mkdirSync(this.folder, { recursive: true });
    const isExport = files.versionFolder === files.folder;
    for (const entry of readdirSync(files.folder))
      if (!isModelVersion(entry) && !LEFT_OUT.has(entry) && !entry.startsWith('.'))
        symlinkSync(join(files.folder, entry), join(this.folder, entry));
    if (!isExport) symlinkSync(files.versionFolder, join(this.folder, files.version));
  }

  /** The path for the graph of a new version that has the other files of the original's. */
  addVersion(version: string): string {
    const { versionFolder, folder, graph } = this.files;
    const own = join(this.folder, version);
    const path = join(own, relative(versionFolder, graph));
    mkdirSync(dirname(path), { recursive: true });
    // An export's files are beside its versions anyway.
    if (versionFolder !== folder)
      for (const entry of readdirSync(versionFolder, { withFileTypes: true }))
        if (entry.isFile() && !LEFT_OUT.has(entry.name) && !isGraphFile(entry.name))
          copyFileSync(join(versionFolder, entry.name), join(own, entry.name));
    return path;
  }

  /** Adds a key to the settings of one version: to those that its original's folder has, where it has some. */
  addSettings(version: string, key: string, value: string | boolean, comment: string): void {
    const path = join(this.folder, version, 'model.yaml');
    const document = parseDocument(existsSync(path) ? readFileSync(path, 'utf8') : '');
    document.set(key, value);
    document.commentBefore = [document.commentBefore, comment].filter(Boolean).join('\n');
    writeFileSync(path, document.toString());
  }

  versionFolder(version: string): string {
    return join(this.folder, version);
  }

  removeVersion(version: string): void {
    rmSync(join(this.folder, version), { recursive: true, force: true });
  }
}

/** Graphs, and weights that lie beside them. */
const isGraphFile = (name: string): boolean => /\.onnx(\.data|_data)?$|\.data$|\.bin$/.test(name);

/** Of a graph and of weights beside it. */
export function bytesOf(graph: string): number {
  return readdirSync(dirname(graph))
    .filter((name) => isGraphFile(name))
    .reduce((sum, name) => sum + statSync(join(dirname(graph), name)).size, 0);
}

/** One more than the newest version of the model. */
export function nextVersion(folder: string): string {
  const versions = readdirSync(folder).filter((name) => isModelVersion(name));
  return String(Math.max(1, ...versions.map(Number)) + 1);
}

/**
 * Copies a whole folder to `target` in one step: whoever watches it sees all of it or nothing. `aside` lies in the same file
 * system. Throws a `CliError` where `target` is there already.
 */
export function publishFolder(source: string, target: string, aside: string): void {
  if (existsSync(target)) throw new CliError(`${target} is there already; name another folder`);
  try {
    mkdirSync(dirname(target), { recursive: true });
    cpSync(source, aside, { recursive: true, dereference: true });
    renameSync(aside, target);
  } catch (error) {
    throw new CliError(`the variant cannot be written to ${target}: ${(error as Error).message}`);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}
