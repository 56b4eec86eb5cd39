import { inParallel, type BatchStore, type ModelPin } from '@app/batches';
import type { RowEngine } from './row-engine';

const READS_MAX = 8;
/** Then a model that a batch began with is not coming back by itself. */
const SEARCH_MS_MAX = 60_000;

/**
 * The models that open batches began with, so that the scheduler keeps them while it changes to other files. What a runner before
 * this one had begun is looked up once.
 */
export class OpenPins {
  private known: Map<string, ModelPin> | null = null;
  private readonly startedMs = performance.now();
  private unresolved: ModelPin[] = [];

  constructor(
    private readonly batches: BatchStore,
    private readonly engine: RowEngine,
  ) {}

  /** Reads the open batches once; looks again for models that were not found. Rejects while the store is away. */
  async refresh(): Promise<void> {
    if (this.known === null) {
      const known = new Map<string, ModelPin>();
      await inParallel(await this.batches.listOpenIds(), READS_MAX, async (id) => {
        const pin = (await this.batches.read(id).catch(() => null))?.pin; // one that cannot be read has no rows to answer
        if (pin !== undefined) known.set(id, pin);
      });
      this.known = known;
      this.unresolved = [...known.values()];
    }
    const missing: ModelPin[] = [];
    for (const pin of this.unresolved) {
      await this.engine.pinProblem(pin); // looks for it; where other nodes have other files, this one may have its own
      if (this.engine.pinnedRevisions([pin]).length === 0) missing.push(pin);
    }
    this.unresolved = missing;
  }

  /** Lets go of batches that are over. */
  keepOnly(openIds: readonly string[]): void {
    const open = new Set(openIds);
    for (const id of this.known?.keys() ?? []) if (!open.has(id)) this.known?.delete(id);
  }

  /** With those of batches that were begun since. Null: not known yet. */
  revisions(begun: readonly ModelPin[]): number[] | null {
    const isSearching = this.unresolved.length > 0 && performance.now() - this.startedMs < SEARCH_MS_MAX;
    if (this.known === null || isSearching) return null;
    return this.engine.pinnedRevisions([...this.known.values(), ...begun]);
  }
}
