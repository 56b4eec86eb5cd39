import type { Placement } from '@app/contracts';
import { writePlacement } from '@app/process';

/** What an earlier scheduler of this node wrote. */
export interface EarlierPlacement {
  /** Null: there is none that can be used. */
  placement: Placement | null;
  /** Processes that it was written for run on. */
  isInUse: boolean;
}

/** What this node runs, with the models that are out of service now, and the file from which the other processes know it. */
export class PublishedPlacement {
  constructor(
    readonly current: Placement,
    private readonly path: string,
  ) {}

  /** Throws when the file cannot be written; the change stands all the same, and is published with the next one. */
  change(changed: Partial<Placement>): void {
    this.note(changed);
    this.publish();
  }

  /** Is published with the next change. */
  note(changed: Partial<Placement>): void {
    Object.assign(this.current, changed);
  }

  publish(): void {
    writePlacement(this.path, this.current);
  }

  /** For the next start: what was quarantined gets another chance. */
  publishWithoutQuarantine(): void {
    writePlacement(this.path, { ...this.current, quarantined: [] });
  }
}
