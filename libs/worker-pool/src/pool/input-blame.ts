import type { BlamedInput, Lane } from '@app/contracts';
import { splitModelKey } from '../placement/model-directory';
import type { PendingItem, WorkerDeath } from './pending';

/**
 * Finds the input that a worker died of and tells it, so that the model is not blamed: the only item that was running, or
 * the only one of them that had been running at an earlier death.
 */
export class InputBlame {
  private readonly answered = new Map<string, number>();

  constructor(
    private readonly lane: Lane,
    private readonly tell: (blamed: BlamedInput) => void,
  ) {}

  countAnswer(key: string): void {
    this.answered.set(key, (this.answered.get(key) ?? 0) + 1);
  }

  /** Forgets the revisions that are not in `keys`. */
  keepOnly(keys: ReadonlyMap<string, unknown>): void {
    for (const key of this.answered.keys()) if (!keys.has(key)) this.answered.delete(key);
  }

  /** `items`: those that the worker was running, each with the deaths that it has seen, this one included. */
  workerDied(items: readonly PendingItem[]): void {
    const death: WorkerDeath = { isExplained: false };
    for (const item of items) item.fatal.push(death);
    const suspects = items.length === 1 ? items : items.filter(({ deaths }) => deaths > 1);
    if (suspects.length === 1) this.blame(suspects[0] as PendingItem);
    else for (const item of suspects) if (item.state === 'settled') this.blame(item);
  }

  private blame(item: PendingItem): void {
    const open = item.fatal.filter(({ isExplained }) => !isExplained);
    for (const death of open) death.isExplained = true;
    if (open.length === 0) return;
    const { key } = item.request;
    const isNew = !item.isBlamed;
    this.tell({ ...splitModelKey(key), lane: this.lane, deaths: open.length, isNew, answered: this.answered.get(key) ?? 0 });
    if (isNew) this.answered.delete(key);
    item.isBlamed = true;
  }
}
