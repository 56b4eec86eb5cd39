import type { CancelSignal } from '@app/contracts';

/** Aborted with `parent`, or by itself; the part of an AbortController that a live request needs. Release it once the work is over. */
export class StopSignal implements CancelSignal {
  private readonly listeners = new Set<() => void>();
  private isStopped = false;

  constructor(private readonly parent: CancelSignal | null) {
    parent?.addEventListener('abort', this.abort, { once: true });
  }

  get aborted(): boolean {
    return this.isStopped || this.parent?.aborted === true;
  }

  readonly abort = (): void => {
    this.isStopped = true;
    for (const listener of [...this.listeners]) listener();
    this.listeners.clear();
  };

  release(): void {
    this.parent?.removeEventListener('abort', this.abort);
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.listeners.delete(listener);
  }
}
