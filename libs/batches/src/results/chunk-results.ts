import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { explainWriteError } from '../storage/disk-guard';
import { orNullIfMissing, TEMPORARY_SUFFIX } from '../storage/durable';

/**
 * What became of one chunk. A result is one file: its output lines, then its error lines. The name
 * (`<index>.<completed>.<failed>.<outputBytes>.result`) says the rest, so that one rename commits lines and counts
 * together and a restart learns all counts from one directory listing.
 */
export interface ChunkResult {
  index: number;
  /** Rows with a line in the output part. */
  completed: number;
  /** Rows with a line in the error part. */
  failed: number;
  /** Length of the output part; the error part is the rest. */
  outputBytes: number;
}

const RESULT_NAME = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.result$/;
const FLUSH_CHARS = 256 * 1024;

const resultName = (result: ChunkResult): string => `${result.index}.${result.completed}.${result.failed}.${result.outputBytes}.result`;

/** The committed chunks of a batch, by index. Removes what a killed runner left half written. */
export async function recoverResults(chunksDirectory: string): Promise<Map<number, ChunkResult>> {
  const results = new Map<number, ChunkResult>();
  for (const name of (await orNullIfMissing(readdir(chunksDirectory))) ?? []) {
    const [, index, completed, failed, outputBytes] = (RESULT_NAME.exec(name) ?? []).map(Number);
    if (index === undefined || completed === undefined || failed === undefined || outputBytes === undefined || results.has(index)) {
      await rm(join(chunksDirectory, name), { force: true });
    } else {
      results.set(index, { index, completed, failed, outputBytes });
    }
  }
  return results;
}

/**
 * Writes the result of one chunk, lines in the order of the calls.
 *
 * | state | next |
 * |---|---|
 * | open | `addOutput`, `addError`; `commit` → committed; `discard` → gone |
 */
export class ChunkResultWriter {
  private outputs: string[] = [];
  private outputChars = 0;
  private readonly errors: string[] = [];
  private outputBytes = 0;
  private completed = 0;

  private constructor(
    private readonly directory: string,
    private readonly index: number,
    private readonly temporary: string,
    private readonly file: FileHandle,
  ) {}

  static async open(directory: string, index: number): Promise<ChunkResultWriter> {
    const temporary = join(directory, `${index}${TEMPORARY_SUFFIX}`);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      return new ChunkResultWriter(directory, index, temporary, await open(temporary, 'w', 0o600));
    } catch (error) {
      throw explainWriteError(error);
    }
  }

  /** `line` without its line end. */
  async addOutput(line: string): Promise<void> {
    this.outputs.push(line, '\n');
    this.outputChars += line.length + 1;
    this.completed += 1;
    if (this.outputChars >= FLUSH_CHARS) this.outputBytes += await this.flush();
  }

  /** `line` without its line end. Error lines wait in memory for the end of the output part. */
  addError(line: string): void {
    this.errors.push(line, '\n');
  }

  /** Once this resolves the chunk is never done again. */
  async commit(): Promise<ChunkResult> {
    this.outputBytes += await this.flush();
    const result = { index: this.index, completed: this.completed, failed: this.errors.length / 2, outputBytes: this.outputBytes };
    this.outputs = this.errors;
    await this.flush();
    try {
      await this.file.datasync();
      await this.file.close();
      await rename(this.temporary, join(this.directory, resultName(result)));
    } catch (error) {
      throw explainWriteError(error);
    }
    return result;
  }

  async discard(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await rm(this.temporary, { force: true });
  }

  /** Bytes written. */
  private async flush(): Promise<number> {
    const bytes = Buffer.from(this.outputs.join(''));
    this.outputs = [];
    this.outputChars = 0;
    try {
      if (bytes.length > 0) await this.file.writeFile(bytes);
    } catch (error) {
      throw explainWriteError(error);
    }
    return bytes.length;
  }
}

/** The output or the error lines of a committed chunk. */
export function readResult(chunksDirectory: string, result: ChunkResult, part: 'output' | 'error'): AsyncIterable<Uint8Array> {
  const path = join(chunksDirectory, resultName(result));
  if (part === 'error') return createReadStream(path, { start: result.outputBytes, highWaterMark: FLUSH_CHARS });
  if (result.outputBytes === 0) return emptyStream();
  return createReadStream(path, { end: result.outputBytes - 1, highWaterMark: FLUSH_CHARS });
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {
  // Nothing: `createReadStream` cannot read an empty range.
}
