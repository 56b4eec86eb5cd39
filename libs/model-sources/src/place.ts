import { copyFile, lstat, mkdir, open, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isModelName, isModelVersion, scanRepository, versionsIn, type RepositoryEntry } from '@app/models';
import { SourceError } from './source-error';

const MODEL_FILE = 'model.yaml';
/** Others that add versions at the same time take numbers. */
const TRIES_MAX = 32;
const VERSION_MAX = 999_999_999;

/** What was fetched of a model: `files` is the folder of the version; `modelFile` a `model.yaml` that came with it, or null. */
export interface Fetched {
  files: string;
  modelFile: string | null;
}

/** One model of a repository, into which a version is put. */
export class Place {
  private readonly folder: string;

  /** Throws a `SourceError` where no version can be put, whatever it is. */
  constructor(
    private readonly modelsDir: string,
    readonly name: string,
    private readonly version: string | null,
  ) {
    if (!isModelName(name))
      throw new SourceError(
        `expected a name of letters, digits, ".", "_" and "-", or two with a slash between them, but received ${JSON.stringify(name)}; choose one with --name`,
      );
    if (version !== null && !isModelVersion(version))
      throw new SourceError(`--version: expected a number from 1 on but received ${JSON.stringify(version)}`);
    this.folder = join(modelsDir, name);
    this.choose();
  }

  get modelFolder(): string {
    return this.folder;
  }

  /**
   * Puts what was fetched in place in one step, when the repository with it can be read as before. `scratch`: an empty folder on
   * the same file system. Resolves with the version; rejects with a `SourceError`, and nothing is put then.
   */
  async put(fetched: Fetched, scratch: string): Promise<string> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const version = this.choose();
      await this.checkModelFile(fetched.modelFile);
      await this.check(fetched, version, join(scratch, 'check'));
      if (await this.moveIn(fetched, version, join(scratch, 'put'))) return version;
      if (this.version !== null) throw this.taken(version);
    }
    throw new SourceError(`${this.folder} gets versions faster than this one can be put there; add it again`);
  }

  /** The version that would be put now. */
  private choose(): string {
    const { versions, unversioned } = versionsIn(this.folder);
    if (unversioned) throw this.isExport();
    this.checkOrganisation();
    if (this.version === null) {
      const next = Number(versions.at(-1) ?? 0) + 1;
      if (next > VERSION_MAX)
        throw new SourceError(`${this.folder} has version ${VERSION_MAX}, the last one; give a free one with --version`);
      return String(next);
    }
    if (versions.includes(this.version)) throw this.taken(this.version);
    return this.version;
  }

  private taken(version: string): SourceError {
    return new SourceError(
      `${this.name} has a version ${version} already; leave --version out for the next free number, or remove that one first`,
    );
  }

  private isExport(): SourceError {
    const all = `find '${this.folder}' -mindepth 1 -maxdepth 1 ! -name 1 ! -name model.yaml ! -name release.yaml -exec mv -t '${this.folder}/1' {} +`;
    return new SourceError(
      `${this.folder} is an export without versions, which is served as version 1; move it into a folder of its own first:\n  mkdir '${this.folder}/1' && ${all}`,
    );
  }

  /** The first part of `a/b` must not be a model, nor may a model hide those of an organisation. */
  private checkOrganisation(): void {
    const [organisation = ''] = this.name.split('/');
    if (organisation === this.name) return;
    const { versions, unversioned } = versionsIn(join(this.modelsDir, organisation));
    if (unversioned || versions.length > 0)
      throw new SourceError(`${join(this.modelsDir, organisation)} is a model, so it cannot hold ${this.name}; choose another --name`);
  }

  /**
   * `model.yaml` holds for all versions of a model, so a version must not bring another one; null: it brings none. Rejects with a
   * `SourceError`.
   */
  async checkModelFile(path: string | null): Promise<void> {
    if (path === null || !(await exists(this.folder))) return;
    const own = join(this.folder, MODEL_FILE);
    const present = await readFile(own).catch(() => null);
    if (present?.equals(await readFile(path)) === true) return;
    const how = present === null ? 'does not have' : 'has another one';
    throw new SourceError(
      `the source has a model.yaml, which ${this.folder} ${how}; it holds for all versions there. Make ${own} the same, or choose another --name`,
    );
  }

  /** Reads the part of the repository that would change, as it would be. */
  private async check(fetched: Fetched, version: string, check: string): Promise<void> {
    const [top = ''] = this.name.split('/');
    await rm(check, { recursive: true, force: true });
    const model = join(check, this.name);
    await mkdir(model, { recursive: true });
    if (top !== this.name) await linkAll(join(this.modelsDir, top), join(check, top));
    await linkAll(this.folder, model);
    // Another that came at once may have taken it; `put` finds out when it takes the place.
    await rm(join(model, version), { recursive: true, force: true });
    await symlink(fetched.files, join(model, version));
    if (fetched.modelFile !== null && !(await exists(join(model, MODEL_FILE)))) await symlink(fetched.modelFile, join(model, MODEL_FILE));
    const entries = scanRepository(check);
    const found = entries.find((entry) => entry.name === this.name && entry.version === version);
    if (found?.reason !== null) {
      const reason = found?.reason ?? `${join(model, version)} is not found as a version of ${this.name}`;
      throw new SourceError(`${this.name} cannot be served: ${reason.replaceAll(check, this.modelsDir)}. It was not put in place`);
    }
    this.checkOthers(entries, top);
  }

  private checkOthers(after: RepositoryEntry[], top: string): void {
    const before = scanRepository(this.modelsDir).filter(
      ({ name, reason }) => reason === null && (name === top || name.startsWith(`${top}/`)),
    );
    const lost = before.find(
      ({ name, version }) => !after.some((entry) => entry.name === name && entry.version === version && entry.reason === null),
    );
    if (lost === undefined) return;
    throw new SourceError(
      `with ${this.name} in it the repository would no longer serve ${lost.name} version ${lost.version}; choose another --name`,
    );
  }

  /** False: another one was there first. */
  private async moveIn({ files, modelFile }: Fetched, version: string, put: string): Promise<boolean> {
    if (await exists(join(this.folder, version))) return false;
    // The highest folder that is not there yet comes with all that it holds.
    const parts = [...this.name.split('/'), version];
    const known = await countWhile(parts, (_, i) => exists(join(this.modelsDir, ...parts.slice(0, i + 1))));
    const target = join(this.modelsDir, ...parts.slice(0, known + 1));
    const inner = join(put, ...parts.slice(known));
    await rm(put, { recursive: true, force: true });
    await mkdir(dirname(inner), { recursive: true });
    await rename(files, inner);
    if (modelFile !== null && known < parts.length - 1) await copyFile(modelFile, join(dirname(inner), MODEL_FILE));
    await syncTree(put);
    try {
      await rename(join(put, parts[known] ?? ''), target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      await rename(inner, files);
      return false;
    }
    await syncPath(dirname(target));
    return true;
  }
}

async function linkAll(from: string, to: string): Promise<void> {
  for (const name of await readdir(from).catch(() => [])) {
    if (!name.startsWith('.') && !(await exists(join(to, name)))) await symlink(join(from, name), join(to, name));
  }
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

async function countWhile<T>(values: T[], holds: (value: T, index: number) => Promise<boolean>): Promise<number> {
  for (const [index, value] of values.entries()) if (!(await holds(value, index))) return index;
  return values.length;
}

/** Makes files and names below a folder durable. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else await syncPath(path);
  }
  await syncPath(folder);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
