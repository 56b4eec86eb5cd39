import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A fact about the machine that the running processes were started by, in the run directory: a new scheduler that adopts them goes
 * by it, since another plan would replace them.
 */
export class KeptFact<T> {
  private readonly path: string;

  constructor(
    runDir: string,
    name: string,
    private readonly isFact: (value: T) => boolean,
  ) {
    this.path = join(runDir, `${name}.json`);
  }

  /** Null: none, or not understood. */
  read(): T | null {
    try {
      const kept = JSON.parse(readFileSync(this.path, 'utf8')) as T;
      return this.isFact(kept) ? kept : null;
    } catch {
      return null;
    }
  }

  write(fact: T): void {
    writeFileSync(`${this.path}.tmp`, JSON.stringify(fact), { mode: 0o600 });
    renameSync(`${this.path}.tmp`, this.path);
  }
}
