import type { ModelOfLane, Placement, QuarantinedModel } from '@app/contracts';
import { writePlacement } from '@app/process';

/** What this node runs, with the models that are out of service now, and the file from which the other processes know it. */
export class PublishedPlacement {
  constructor(
    readonly current: Placement,
    private readonly path: string,
  ) {}

  /** Throws when the file cannot be written; the change stands all the same, and is published with the next one. */
  change(changed: { quarantined: QuarantinedModel[]; loadLast: ModelOfLane[] }): void {
    Object.assign(this.current, changed);
    this.publish();
  }

  publish(): void {
    writePlacement(this.path, this.current);
  }

  /** For the next start: what was quarantined gets another chance. */
  publishWithoutQuarantine(): void {
    writePlacement(this.path, { ...this.current, quarantined: [] });
  }
}
