import { readdirSync, statSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';

/** More folders are only looked at in turn: each takes one of the user's inotify watches. */
const FOLDERS_MAX = 2048;

/** Says soon that something below a models folder may have changed; who listens looks now and then all the same. */
export class FolderWatch {
  private readonly watchers = new Map<string, FSWatcher>();

  constructor(
    private readonly modelsDir: string,
    private readonly onChange: () => void,
  ) {}

  /** Watches the folders of these models, and no others. */
  follow(names: readonly string[]): void {
    const folders = new Set([this.modelsDir, ...names.flatMap((name) => foldersOf(join(this.modelsDir, name)))].slice(0, FOLDERS_MAX));
    for (const folder of [...this.watchers.keys()].filter((known) => !folders.has(known))) this.drop(folder);
    for (const folder of folders) if (!this.watchers.has(folder)) this.watch(folder);
  }

  close(): void {
    for (const folder of [...this.watchers.keys()]) this.drop(folder);
  }

  private watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.onChange());
      watcher.on('error', () => this.drop(folder));
      this.watchers.set(folder, watcher);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error; // gone again, or no watches left: looked at in turn
    }
  }

  private drop(folder: string): void {
    this.watchers.get(folder)?.close();
    this.watchers.delete(folder);
  }
}

/** That of a model, and those in it: versions and `onnx`. */
function foldersOf(folder: string): string[] {
  try {
    const below = readdirSync(folder).map((name) => join(folder, name));
    return [folder, ...below.filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)];
  } catch {
    return []; // gone meanwhile
  }
}
