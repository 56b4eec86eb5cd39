import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '@app/telemetry';

/**
 * Objects in a file, one JSON line each. A file that would grow past its limit is renamed to `<path>.1`, in place of the one before, so
 * both together never take more than twice the limit. May be killed at any byte: a line that was cut is not read, and what follows
 * begins on a line of its own. A disk that takes nothing costs the file and nothing else.
 */
export class LineFile {
  private cannotWrite = false;
  private endsInLine: boolean;

  constructor(
    private readonly path: string,
    private readonly bytesMax: number,
    private readonly log: Logger,
  ) {
    this.endsInLine = endsInLine(path);
  }

  /** Oldest first; what is no line of JSON is left out. */
  read(): unknown[] {
    return [`${this.path}.1`, this.path].flatMap((path) => linesOf(path)).flatMap(parsed);
  }

  append(value: object): void {
    const line = `${this.endsInLine ? '' : '\n'}${JSON.stringify(value)}\n`;
    try {
      const size = statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
      if (size === 0) mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      if (size + Buffer.byteLength(line) > this.bytesMax) renameSync(this.path, `${this.path}.1`);
      appendFileSync(this.path, line, { mode: 0o600 });
      this.endsInLine = true;
      this.cannotWrite = false;
    } catch (error) {
      this.endsInLine = false;
      if (!this.cannotWrite) this.log.error({ err: error }, `cannot write ${this.path}; what it is to keep is in memory only`);
      this.cannotWrite = true;
    }
  }
}

function linesOf(path: string): string[] {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  } catch {
    return [];
  }
}

function parsed(line: string): unknown[] {
  if (line === '') return [];
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}

function endsInLine(path: string): boolean {
  try {
    return !existsSync(path) || readFileSync(path).at(-1) === '\n'.charCodeAt(0) || statSync(path).size === 0;
  } catch {
    return false;
  }
}
