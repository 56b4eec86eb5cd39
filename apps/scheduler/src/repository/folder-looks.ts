import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { mayHoldModel, modelNames, readBounded, RELEASE_FILE, scanModel, type RepositoryEntry } from '@app/models';
import { parseRelease, RELEASE_FILE_BYTES_MAX, type ReleaseFile } from './release-file';
import { Settling } from './settling';

/** A look gives way to other work after so long. */
const SLICE_MS = 5;

/** What a look found that was otherwise before, and has not changed since the look before it. */
export interface FolderChanges {
  versions: { name: string; version: string; entry: RepositoryEntry | null }[];
  releases: { name: string; file: ReleaseFile | null; problem: string | null }[];
  /** Why the folder cannot be read: nothing is gone then; null: it can. */
  problem: string | null;
}

function identityOf(folder: string): string {
  const stats = statSync(folder, { throwIfNoEntry: false });
  return stats === undefined ? '' : `${stats.dev}:${stats.ino}`;
}

const keyOf = ({ name, version }: { name: string; version: string }): string => `${name}\n${version}`;
const signOf = ({ fingerprint, reason }: RepositoryEntry): string => `${fingerprint}\n${reason ?? ''}`;

/**
 * Looks at a models folder again and again, and tells what changed, once it does not change any more. Of files that did not
 * change nothing is read.
 */
export class FolderLooks {
  private readonly known = new Map<string, RepositoryEntry>();
  /** Models with a release.yaml, and how it looked. */
  private readonly releases = new Map<string, string>();
  private readonly settling = new Settling();
  private readonly settlingReleases = new Settling();
  private folder: string;

  /** `known`: what is there, as the caller knows it. */
  constructor(
    private readonly modelsDir: string,
    known: readonly RepositoryEntry[],
  ) {
    for (const entry of known) this.known.set(keyOf(entry), entry);
    this.folder = identityOf(modelsDir);
  }

  /** Something changes just now. */
  get isUnsettled(): boolean {
    return this.settling.isPending || this.settlingReleases.isPending;
  }

  names(): string[] {
    return [...new Set([...this.known.values()].map(({ name }) => name))];
  }

  /** `what`: models and their release.yaml, or the latter alone. */
  async look(what: 'all' | 'releases' = 'all'): Promise<FolderChanges> {
    const changes: FolderChanges = { versions: [], releases: [], problem: null };
    try {
      if (what === 'all') await this.lookAtVersions(changes.versions);
    } catch (error) {
      changes.problem = (error as Error).message;
      return changes;
    }
    changes.releases = this.lookAtReleases(false);
    return changes;
  }

  /** One model, as it is now: nothing is waited for. */
  lookAtModel(name: string): FolderChanges['versions'] {
    const known = this.versionsOf(name);
    const found = mayHoldModel(this.modelsDir, name) === 'no' ? [] : scanModel(this.modelsDir, name, known);
    const gone = known.filter((entry) => !found.some(({ version }) => version === entry.version));
    return [
      ...found.filter((entry) => !known.includes(entry)).map((entry) => this.accept(entry)),
      ...gone.map((entry) => this.forget(entry)),
    ];
  }

  /** The release.yaml of every model as it is now. */
  releasesNow(): FolderChanges['releases'] {
    return this.lookAtReleases(true);
  }

  /** Adds to `changes` as it goes: what it has found counts although it throws. */
  private async lookAtVersions(changes: FolderChanges['versions']): Promise<void> {
    const found = new Set<string>();
    let sliceMs = performance.now();
    for (const name of this.namesThere()) {
      for (const entry of scanModel(this.modelsDir, name, this.versionsOf(name))) {
        found.add(keyOf(entry));
        if (this.hasChanged(entry)) changes.push(this.accept(entry));
      }
      if (performance.now() - sliceMs < SLICE_MS) continue;
      await setImmediate();
      sliceMs = performance.now();
    }
    this.checkFolder(found.size === 0);
    for (const entry of [...this.known.values()].filter((known) => !found.has(keyOf(known))))
      if (this.settling.isSettled(keyOf(entry), 'gone', performance.now())) changes.push(this.forget(entry));
    this.settling.keepOnly((key) => found.has(key) || this.known.has(key));
  }

  /** Throws where the folder is another one than that of the last look, and empty: a disk was unmounted, nobody removed models. */
  private checkFolder(isEmpty: boolean): void {
    const folder = identityOf(this.modelsDir);
    if (isEmpty && this.known.size > 0 && folder !== this.folder)
      throw new Error(`${this.modelsDir} is another folder than before, and has no models; mount it again, or remove models one by one`);
    this.folder = folder;
  }

  private hasChanged(entry: RepositoryEntry): boolean {
    const known = this.known.get(keyOf(entry));
    if (known !== undefined && signOf(known) === signOf(entry)) {
      this.settling.forget(keyOf(entry));
      return false;
    }
    return this.settling.isSettled(keyOf(entry), signOf(entry), performance.now());
  }

  private lookAtReleases(isNow: boolean): FolderChanges['releases'] {
    const names = this.names();
    this.settlingReleases.keepOnly((name) => names.includes(name));
    return names.flatMap((name) => {
      const path = join(this.modelsDir, name, RELEASE_FILE);
      const sign = statSign(path);
      if (sign === (this.releases.get(name) ?? '')) {
        this.settlingReleases.forget(name);
        return [];
      }
      if (!isNow && !this.settlingReleases.isSettled(name, sign, performance.now())) return [];
      this.releases.set(name, sign);
      return [{ name, ...readRelease(path, sign) }];
    });
  }

  /** Those that are known and cannot be read any more are not gone, and their organisation is no model. */
  private namesThere(): string[] {
    const names = new Set(modelNames(this.modelsDir));
    const unreadable = this.names().filter((name) => !names.has(name) && mayHoldModel(this.modelsDir, name) === 'unreadable');
    for (const name of unreadable) names.delete(name.split('/')[0] ?? '');
    return [...names, ...unreadable];
  }

  private versionsOf(name: string): RepositoryEntry[] {
    return [...this.known.values()].filter((entry) => entry.name === name);
  }

  private accept(entry: RepositoryEntry): FolderChanges['versions'][number] {
    this.known.set(keyOf(entry), entry);
    this.settling.forget(keyOf(entry));
    return { name: entry.name, version: entry.version, entry };
  }

  private forget({ name, version }: RepositoryEntry): FolderChanges['versions'][number] {
    this.known.delete(keyOf({ name, version }));
    this.settling.forget(keyOf({ name, version }));
    return { name, version, entry: null };
  }
}

function readRelease(path: string, sign: string): { file: ReleaseFile | null; problem: string | null } {
  if (sign === '') return { file: null, problem: null };
  try {
    return { file: parseRelease(readBounded(path, RELEASE_FILE_BYTES_MAX).toString('utf8')), problem: null };
  } catch (error) {
    return { file: null, problem: (error as Error).message };
  }
}

/** Empty: there is none. Why it cannot be told, where it cannot: whoever reads the file finds the same. */
function statSign(path: string): string {
  try {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stats === undefined ? '' : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ');
  } catch (error) {
    return (error as Error).message;
  }
}
