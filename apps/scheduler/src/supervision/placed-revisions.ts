import type { Placement, WorkerModelPlan } from '@app/contracts';

/** A worker dies of a model that left its plan at most seconds ago: many more than leave in that time. */
const REVISIONS_MAX = 4096;

/** Which model a revision is or was: a worker may die of one that has left the placement and still runs. */
export class PlacedRevisions {
  private readonly models = new Map<number, Pick<WorkerModelPlan, 'name' | 'version' | 'revision'>>();

  /** Call often enough to see each placement. */
  note({ workers }: Pick<Placement, 'workers'>): void {
    for (const model of workers.flatMap(({ models }) => models)) {
      this.models.delete(model.revision); // to the end
      this.models.set(model.revision, model);
    }
    for (const revision of this.models.keys()) {
      if (this.models.size <= REVISIONS_MAX) return;
      this.models.delete(revision);
    }
  }

  get(revision: number): Pick<WorkerModelPlan, 'name' | 'version' | 'revision'> | undefined {
    return this.models.get(revision);
  }
}
