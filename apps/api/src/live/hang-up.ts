import type { CancelSignal } from '@app/contracts';

/** Says that the caller of one live request has gone. At most one listener at a time. */
export class HangUp implements CancelSignal {
  private hasGone = false;
  private listener: (() => void) | null = null;

  get aborted(): boolean {
    return this.hasGone;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.listener = listener;
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.listener === listener) this.listener = null;
  }

  abort(): void {
    this.hasGone = true;
    this.listener?.();
  }
}
