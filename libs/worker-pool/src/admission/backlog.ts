import { createHash } from 'node:crypto';
import type { InferenceItem } from '@app/contracts';

/** Hashing takes about 1 ms for each MiB; larger items count as different from all others. */
const HASHED_BYTES_MAX = 64 * 1024;

/** Equal for items of one model version that a worker answers by one run. Null: not looked at. */
export function contentKey(key: string, { inputs, outputs }: InferenceItem): string | null {
  if (inputs.reduce((sum, { data }) => sum + data.byteLength, 0) > HASHED_BYTES_MAX) return null;
  const hash = createHash('sha1').update(
    JSON.stringify([key, outputs, inputs.map(({ name, datatype, shape }) => [name, datatype, shape])]),
  );
  for (const { data } of inputs) hash.update(data);
  return hash.digest('base64');
}

/** What an item adds to a backlog. */
export interface Work {
  /** Predicted, over all executors. */
  readonly expectedNs: number;
  readonly contentKey: string | null;
}

/** Predicted work that is on its way to a worker. Equal items run once, so they count once, until the last has left. */
export class Backlog {
  private sumNs = 0;
  private readonly shared = new Map<string, { items: number; expectedNs: number }>();

  get expectedNs(): number {
    return this.sumNs;
  }

  add({ expectedNs, contentKey }: Work): void {
    const known = contentKey === null ? undefined : this.shared.get(contentKey);
    if (known !== undefined) known.items += 1;
    else {
      this.sumNs += expectedNs;
      if (contentKey !== null) this.shared.set(contentKey, { items: 1, expectedNs });
    }
  }

  /** Precondition: the same was added. */
  remove({ expectedNs, contentKey }: Work): void {
    const known = contentKey === null ? { items: 1, expectedNs } : this.shared.get(contentKey);
    if (known === undefined) return;
    known.items -= 1;
    if (known.items > 0) return;
    this.sumNs -= known.expectedNs;
    if (contentKey !== null) this.shared.delete(contentKey);
  }
}

/** The first of each kind of equal items. */
export function distinct<T extends { contentKey: string | null }>(items: T[]): T[] {
  const seen = new Set<string>();
  return items.filter(({ contentKey }) => contentKey === null || seen.size !== seen.add(contentKey).size);
}
