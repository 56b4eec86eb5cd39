import type { ItemResult, Tensor } from '@app/contracts';
import { LRUCache } from 'lru-cache';

export interface ModelCacheBounds {
  bytesMax: number;
  ttlSeconds: number;
}

/** An answer that is kept. Its bytes are its own: nobody else reads or writes them. */
interface Kept {
  outputs: Tensor[];
  storedMs: number;
}

export interface Found {
  result: ItemResult;
  /** Since it was computed. */
  ageMs: number;
}

/** What an entry costs beside its tensors: keys, objects, places in the list. */
const ENTRY_BYTES = 512;
const TENSOR_BYTES = 256;
const NO_RUN = { queueUs: 0, runUs: 0, runRows: 0, startedNs: 0 };

/**
 * Answers by key, each revision of a model in a part of its own with its own bound and time, all together within `bytesMax`: the
 * part with the most bytes makes room. What is over its time stays until there is no room, for those who take it all the
 * same. Callers of one event loop.
 */
export class ResponseCache {
  private readonly parts = new Map<string, LRUCache<string, Kept>>();

  /** `nowMs`: a clock that only goes forward. */
  constructor(
    private readonly bytesMax: number,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  get bytes(): number {
    let bytes = 0;
    for (const part of this.parts.values()) bytes += part.calculatedSize;
    return bytes;
  }

  /** A copy of what is kept, not older than `ttlSeconds` unless `evenStale`; null: there is none. */
  get(model: string, key: string, { ttlSeconds, evenStale }: { ttlSeconds: number; evenStale: boolean }): Found | null {
    const kept = this.parts.get(model)?.get(key);
    if (kept === undefined) return null;
    const ageMs = this.nowMs() - kept.storedMs;
    if (ageMs >= ttlSeconds * 1000 && !evenStale) return null;
    return { result: { outputs: copyOf(kept.outputs), timing: NO_RUN }, ageMs };
  }

  /** Copies the answer. One that is larger than the bound is not kept. */
  set(model: string, key: string, { outputs }: ItemResult, { bytesMax }: Pick<ModelCacheBounds, 'bytesMax'>): void {
    const size = sizeOf(outputs);
    if (size > Math.min(bytesMax, this.bytesMax)) return;
    const part =
      this.parts.get(model) ?? new LRUCache<string, Kept>({ maxSize: bytesMax, sizeCalculation: (kept) => sizeOf(kept.outputs) });
    this.parts.set(model, part);
    part.set(key, { outputs: copyOf(outputs), storedMs: this.nowMs() });
    this.makeRoom();
  }

  /** Forgets all answers of the models that `isThere` does not know. */
  keepOnly(isThere: (model: string) => boolean): void {
    for (const model of this.parts.keys()) if (!isThere(model)) this.parts.delete(model);
  }

  private makeRoom(): void {
    while (this.bytes > this.bytesMax) {
      const largest = [...this.parts.values()].reduce((a, b) => (b.calculatedSize > a.calculatedSize ? b : a));
      largest.pop();
    }
  }
}

/** In memory of its own: results are views of memory that is shared with a worker, and who gets an answer may write into it. */
function copyOf(outputs: Tensor[]): Tensor[] {
  return outputs.map(({ name, datatype, shape, data }) => ({ name, datatype, shape: [...shape], data: Uint8Array.from(data) }));
}

function sizeOf(outputs: Tensor[]): number {
  return outputs.reduce((bytes, { data }) => bytes + TENSOR_BYTES + data.byteLength, ENTRY_BYTES);
}
