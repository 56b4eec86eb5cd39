import type { BatchCode } from '@app/contracts';
import type { ObjectStore, ObjectWriter } from '../storage/object-store';
import { inParallel } from '../storage/in-parallel';
import { storeKeys } from '../storage/store-keys';
import { decodeTrailer, encodeTrailer, TAIL_BYTES, type ChunkCounts, type Failures } from './chunk-trailer';

/** What became of one chunk. */
export interface ChunkResult extends ChunkCounts {
  index: number;
}

const FLUSH_CHARS = 256 * 1024;
const CHUNK_NAME = /^(\d{1,9})$/;
const FORMER_NAME = /^(\d{1,9})\.(\d+)\.(\d+)\.(\d+)\.result$/;
/** Results that are looked at at once. */
const READS_MAX = 16;

/**
 * The results of the chunks of one batch. A result is one object: its output lines, its error lines, and a trailer with the
 * counts, so that one write commits lines and counts together. The first that is committed for a chunk is the chunk's for good,
 * whoever else did the same chunk.
 */
export class ChunkResults {
  private readonly prefix: string;

  constructor(
    private readonly store: ObjectStore,
    batchId: string,
  ) {
    this.prefix = storeKeys.batch(batchId).chunks;
  }

  async begin(index: number): Promise<ChunkResultWriter> {
    return new ChunkResultWriter(index, await this.store.openWriter(this.key(index)), () => this.find(index));
  }

  /**
   * Null: the chunk is not done. What is no result, because it was cut or overwritten in the store, is removed, so that the chunk
   * can be done again. Throws for one of a later release.
   */
  async find(index: number): Promise<ChunkResult | null> {
    const key = this.key(index);
    const tail = await this.store.readTail(key, TAIL_BYTES);
    if (tail === null) return null;
    const counts = decodeTrailer(tail, key);
    if (counts === null) await this.store.delete(key);
    return counts === null ? null : { index, ...counts };
  }

  /** All that are committed, by index; those of a former release among them, which become of this one. */
  async recover(): Promise<Map<number, ChunkResult>> {
    const results = new Map<number, ChunkResult>();
    const names = await this.store.listNames(this.prefix);
    for (const name of names) if (FORMER_NAME.test(name)) await this.adopt(name);
    const indexes = names.map((name) => (FORMER_NAME.exec(name) ?? CHUNK_NAME.exec(name))?.[1]);
    await inParallel([...new Set(indexes)], READS_MAX, async (index) => {
      const result = index === undefined ? null : await this.find(Number(index));
      if (result !== null) results.set(result.index, result);
    });
    return results;
  }

  /** The output or the error lines of a committed chunk; `range` within that part, default all of it. */
  async *read(
    result: Pick<ChunkResult, 'index' | 'outputBytes' | 'errorBytes'>,
    part: ChunkPart,
    range = { start: 0, end: partBytes(result, part) },
  ): AsyncGenerator<Buffer, void, void> {
    const first = part === 'output' ? 0 : result.outputBytes;
    if (range.start < range.end) yield* this.store.read(this.key(result.index), { start: first + range.start, end: first + range.end });
  }

  /** Once nobody reads its lines any more. */
  delete(index: number): Promise<void> {
    return this.store.delete(this.key(index));
  }

  /** Former releases had the counts in the name. */
  private async adopt(name: string): Promise<void> {
    const [index = 0, completed = 0, failed = 0, outputBytes = 0] = (FORMER_NAME.exec(name) ?? []).slice(1).map(Number);
    const facts = await this.store.head(`${this.prefix}${name}`);
    if (facts === null || facts.byteCount < outputBytes) return;
    const object = await this.store.openWriter(this.key(index));
    try {
      for await (const part of this.store.read(`${this.prefix}${name}`, { start: 0, end: facts.byteCount })) await object.append(part);
      await object.append(encodeTrailer({ completed, failed, outputBytes, errorBytes: facts.byteCount - outputBytes, failures: {} }));
      await object.commitIfAbsent();
    } finally {
      await object.discard();
    }
    await this.store.delete(`${this.prefix}${name}`);
  }

  private key(index: number): string {
    return `${this.prefix}${index}`;
  }
}

export type ChunkPart = 'output' | 'error';

export const partBytes = (result: Pick<ChunkResult, 'outputBytes' | 'errorBytes'>, part: ChunkPart): number =>
  part === 'output' ? result.outputBytes : result.errorBytes;

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
  private readonly failures: Failures = {};
  private outputBytes = 0;
  private completed = 0;

  constructor(
    private readonly index: number,
    private readonly object: ObjectWriter,
    private readonly findOther: () => Promise<ChunkResult | null>,
  ) {}

  /** Rows that have a line. */
  get rowCount(): number {
    return this.completed + this.errors.length / 2;
  }

  /** `line` without its line end. */
  async addOutput(line: string): Promise<void> {
    this.outputs.push(line, '\n');
    this.outputChars += line.length + 1;
    this.completed += 1;
    if (this.outputChars >= FLUSH_CHARS) await this.flush();
  }

  /** So many whole lines, with their line ends. */
  async addOutputLines(lines: Uint8Array, count: number): Promise<void> {
    await this.flush();
    this.outputBytes += lines.length;
    this.completed += count;
    if (lines.length > 0) await this.object.append(lines);
  }

  /** `line` without its line end, `code` as in the line. Error lines wait in memory for the end of the output part. */
  addError(line: string, code: BatchCode): void {
    this.errors.push(line, '\n');
    this.failures[code] = (this.failures[code] ?? 0) + 1;
  }

  /**
   * Once this resolves the chunk has a result that stays. `isFirst` false: it is that of another who did the same chunk, and
   * what was written here is gone.
   */
  async commit(): Promise<{ result: ChunkResult; isFirst: boolean }> {
    await this.flush();
    const errors = Buffer.from(this.errors.join(''));
    const { index, completed, outputBytes, failures } = this;
    const result = { index, completed, failed: this.errors.length / 2, outputBytes, errorBytes: errors.length, failures };
    await this.object.append(Buffer.concat([errors, encodeTrailer(result)]));
    if (await this.object.commitIfAbsent()) return { result, isFirst: true };
    const other = await this.findOther();
    if (other === null) throw new Error(`the result of chunk ${this.index} was there and is gone`);
    return { result: other, isFirst: false };
  }

  /** Never rejects. */
  discard(): Promise<void> {
    return this.object.discard();
  }

  private async flush(): Promise<void> {
    const bytes = Buffer.from(this.outputs.join(''));
    this.outputs = [];
    this.outputChars = 0;
    this.outputBytes += bytes.length;
    if (bytes.length > 0) await this.object.append(bytes);
  }
}
