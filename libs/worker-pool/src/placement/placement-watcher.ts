import { readFileSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Placement } from '@app/contracts';

/** For file systems without notifications, and for a folder that does not exist yet. */
const POLL_MS = 1000;

export interface PlacementListener {
  placement(placement: Placement): void;
  /** A file of this name appeared in, or left, the folder of the placement (a worker's socket, for example). */
  file(name: string): void;
}

/** Reads the placement now, if there is one, and again whenever it changes. An unreadable one is as good as none. */
export class PlacementWatcher {
  private watcher: FSWatcher | null = null;
  private readonly timer: NodeJS.Timeout;
  private text = '';

  constructor(
    private readonly path: string,
    private readonly listener: PlacementListener,
  ) {
    this.timer = setInterval(() => this.poll(), POLL_MS);
    this.timer.unref();
    this.poll();
  }

  close(): void {
    clearInterval(this.timer);
    this.watcher?.close();
  }

  private poll(): void {
    this.watcher ??= this.watchFolder();
    this.read();
  }

  private watchFolder(): FSWatcher | null {
    try {
      const watcher = watch(dirname(this.path), { persistent: false }, (_event, name) => this.onFile(name));
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

  private onFile(name: string | null): void {
    if (name === null || name === basename(this.path)) this.read();
    else this.listener.file(name);
  }

  private read(): void {
    const text = readText(this.path);
    if (text === null || text === this.text) return;
    const placement = parsePlacement(text);
    if (placement === null) return;
    this.text = text;
    this.listener.placement(placement);
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) return null;
    throw error;
  }
}

function parsePlacement(text: string): Placement | null {
  try {
    const placement = JSON.parse(text) as Placement | null;
    return placement?.formatVersion === 1 && Array.isArray(placement.workers) ? placement : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
