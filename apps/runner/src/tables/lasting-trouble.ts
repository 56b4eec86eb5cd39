import { TableTrouble } from './table-process';

const TRIES = 3;

/** Tells tables that will never be read or written from those that may be the next time. */
export class LastingTrouble {
  private message: string | null = null;
  private tries = 0;

  /** Of each error in a row: whether it is the third of a table for the same reason. */
  isIn(error: unknown): error is TableTrouble {
    // Numbers of memory in use differ from try to try.
    const message = error instanceof TableTrouble ? error.message.replace(/\d+(\.\d+)?/g, '#') : null;
    this.tries = message !== null && message === this.message ? this.tries + 1 : 1;
    this.message = message;
    return message !== null && this.tries >= TRIES;
  }
}
