import type { ByteRange, ObjectStore } from '../storage/object-store';
import { storeKeys } from '../storage/store-keys';
import { ChunkResults, partBytes, type ChunkPart, type ChunkResult } from './chunk-results';

const ENTRY_NUMBERS = 4;

/** `results.idx`: what the output files of a batch are made of, 32 bytes for each of its chunks. */
export class ResultTable {
  private constructor(
    private readonly batchId: string,
    private readonly numbers: Float64Array,
  ) {}

  static of(batchId: string, chunkCount: number, resultOf: (index: number) => ChunkResult | null): ResultTable {
    const numbers = new Float64Array(chunkCount * ENTRY_NUMBERS);
    for (let index = 0; index < chunkCount; index++) {
      const result = resultOf(index);
      if (result !== null) numbers.set([result.completed, result.failed, result.outputBytes, result.errorBytes], index * ENTRY_NUMBERS);
    }
    return new ResultTable(batchId, numbers);
  }

  /** Null: the batch has none. */
  static async read(store: ObjectStore, batchId: string): Promise<ResultTable | null> {
    const stored = await store.get(storeKeys.batch(batchId).resultTable);
    if (stored === null) return null;
    // A copy, because the bytes of a Buffer need not be aligned for doubles.
    const numbers = new Float64Array(new Uint8Array(stored.bytes).buffer);
    if (numbers.length % ENTRY_NUMBERS !== 0)
      throw new Error(`results.idx of ${batchId}: ${stored.bytes.length} bytes are not whole entries`);
    return new ResultTable(batchId, numbers);
  }

  get chunkCount(): number {
    return this.numbers.length / ENTRY_NUMBERS;
  }

  encode(): Buffer {
    return Buffer.from(this.numbers.buffer);
  }

  /** All zero for a chunk without a result, or that the batch does not have. */
  resultOf(index: number): Omit<ChunkResult, 'failures'> {
    const [completed = 0, failed = 0, outputBytes = 0, errorBytes = 0] = this.numbers.subarray(
      index * ENTRY_NUMBERS,
      (index + 1) * ENTRY_NUMBERS,
    );
    return { index, completed, failed, outputBytes, errorBytes };
  }

  /** Of a whole file. */
  facts(part: ChunkPart): { bytes: number; rows: number } {
    const facts = { bytes: 0, rows: 0 };
    for (const result of this.results()) {
      facts.bytes += partBytes(result, part);
      facts.rows += part === 'output' ? result.completed : result.failed;
    }
    return facts;
  }

  /** The bytes of a file, chunk after chunk. */
  async *read(store: ObjectStore, part: ChunkPart, range: ByteRange): AsyncGenerator<Buffer, void, void> {
    const results = new ChunkResults(store, this.batchId);
    let offset = 0;
    for (const result of this.results()) {
      const end = offset + partBytes(result, part);
      if (end > range.start)
        yield* results.read(result, part, { start: Math.max(range.start, offset) - offset, end: Math.min(range.end, end) - offset });
      offset = end;
      if (offset >= range.end) return;
    }
  }

  private *results(): Generator<Omit<ChunkResult, 'failures'>, void, void> {
    for (let index = 0; index < this.chunkCount; index++) yield this.resultOf(index);
  }
}
