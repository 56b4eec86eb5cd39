import { readFileSync, statSync } from 'node:fs';
import { runPaths } from '@app/config';
import type { Placement, QuarantinedModel, WorkerPlan } from '@app/contracts';

/** The live path asks for every request; looking that often at the file would cost more than the answer. */
const LOOK_MS = 250;

/** The placement as the scheduler last wrote it; read again only when the file has changed, a quarter of a second late at most. */
export class PlacementFile {
  private readonly path: string;
  private modifiedMs = -1;
  private lookedMs = -Infinity;
  private placement: Placement | null = null;

  constructor(runDir: string) {
    this.path = runPaths(runDir).placement;
  }

  /** Empty while there is no placement. */
  workers(): WorkerPlan[] {
    this.refresh();
    return this.placement?.workers ?? [];
  }

  /** Quarantines of this version of a model, in both lanes. */
  quarantined(name: string, version: string): QuarantinedModel[] {
    this.refresh();
    return this.placement?.quarantined?.filter((model) => model.name === name && model.version === version) ?? [];
  }

  /** A file that is missing or unreadable leaves what was known before. */
  private refresh(): void {
    const nowMs = performance.now();
    if (nowMs - this.lookedMs < LOOK_MS) return;
    this.lookedMs = nowMs;
    const modifiedMs = statSync(this.path, { throwIfNoEntry: false })?.mtimeMs;
    if (modifiedMs === undefined || modifiedMs === this.modifiedMs) return;
    try {
      this.placement = JSON.parse(readFileSync(this.path, 'utf8')) as Placement;
      this.modifiedMs = modifiedMs;
    } catch (error) {
      if (!(error instanceof SyntaxError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
}
