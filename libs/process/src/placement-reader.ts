import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { runPaths } from '@app/config';
import type { Placement, QuarantinedModel, WorkerPlan } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { parsePlacement, PlacementError, readText } from './placement-file';

/** For file systems without notifications, and for a folder that does not exist yet. */
const POLL_MS = 1000;

/**
 * The placement as the scheduler last wrote it: read at once, if there is one, and again whenever it changes. All who ask one
 * reader see the same. A file that is missing or cannot be used leaves what was known before. Close it when done.
 */
export class PlacementReader {
  private readonly path: string;
  private readonly timer: NodeJS.Timeout;
  private readonly changeListeners = new Set<() => void>();
  private readonly fileListeners = new Set<(name: string) => void>();
  private watcher: FSWatcher | null = null;
  private text: string | null = null;
  private latest: Placement | null = null;
  private reason: string | null = null;

  /** Neither the file nor the folder need exist yet. */
  constructor(runDir: string) {
    this.path = runPaths(runDir).placement;
    this.timer = setInterval(() => this.poll(), POLL_MS);
    this.timer.unref();
    this.poll();
  }

  /** Null: none was written yet that can be used. */
  get placement(): Placement | null {
    return this.latest;
  }

  /** Why the file as it is now cannot be used; null: it can, or there is none. */
  get problem(): string | null {
    return this.reason;
  }

  /** Empty while there is no placement. */
  workers(): WorkerPlan[] {
    return this.latest?.workers ?? [];
  }

  /** This version of a model in the lanes in which it is quarantined. */
  quarantined(name: string, version: string): QuarantinedModel[] {
    return this.latest?.quarantined?.filter((model) => model.name === name && model.version === version) ?? [];
  }

  /** Called after every change of `placement` or `problem`; returns the way to unsubscribe. */
  onChange(listener: () => void): () => void {
    this.changeListeners.add(listener);
    return () => this.changeListeners.delete(listener);
  }

  /** Called when another file appeared in, or left, the folder of the placement (a worker's socket, for example). */
  onFile(listener: (name: string) => void): () => void {
    this.fileListeners.add(listener);
    return () => this.fileListeners.delete(listener);
  }

  /** No listener is called afterwards. */
  close(): void {
    clearInterval(this.timer);
    this.watcher?.close();
    this.changeListeners.clear();
    this.fileListeners.clear();
  }

  private poll(): void {
    this.watcher ??= this.watchFolder();
    this.read();
  }

  private watchFolder(): FSWatcher | null {
    try {
      const watcher = watch(dirname(this.path), { persistent: false }, (_event, name) => this.onEvent(name));
      watcher.on('error', () => {
        watcher.close();
        this.watcher = null;
      });
      return watcher;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== undefined) return null; // no such folder yet, or no watches left: polled
      throw error;
    }
  }

  private onEvent(name: string | null): void {
    if (name === null || name === basename(this.path)) this.read();
    else for (const listener of this.fileListeners) listener(name);
  }

  private read(): void {
    const text = readText(this.path);
    if (text === null || text === this.text) return;
    this.text = text;
    try {
      this.latest = parsePlacement(text);
      this.reason = null;
    } catch (error) {
      if (!(error instanceof PlacementError)) throw error;
      this.reason = error.message;
    }
    for (const listener of this.changeListeners) listener();
  }
}

/** A reader for a process that serves: what cannot be used is in its log. */
export function openPlacement(runDir: string, log: Logger): PlacementReader {
  const placement = new PlacementReader(runDir);
  const tellProblem = (): void => {
    const { problem } = placement;
    if (problem !== null) log.warn({ reason: problem }, 'the placement cannot be used; what was known before holds');
  };
  placement.onChange(tellProblem);
  tellProblem();
  return placement;
}
