import type { Lane, QuarantinedModel } from '@app/contracts';

/** Twice what one input that kills its worker costs (docs/decisions/0004): one such input leaves its model in service. */
export const DEATHS_MAX = 6;
export const WINDOW_MS = 600_000;

export interface ModelOfLane {
  name: string;
  version: string;
  lane: Lane;
}

/** Takes model versions out of service that kill workers of a lane again and again. */
export class ModelQuarantine {
  private readonly deathsMs = new Map<string, number[]>();
  private readonly quarantined: QuarantinedModel[];

  /** `kept`: those of an earlier scheduler. */
  constructor(
    kept: readonly QuarantinedModel[] = [],
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.quarantined = [...kept];
  }

  /** In the order in which they came. */
  models(): readonly QuarantinedModel[] {
    return this.quarantined;
  }

  /** A worker of the lane died of this model, as `reason` says. Returns the quarantine when it begins with this death. */
  workerDied({ name, version, lane }: ModelOfLane, reason: string): QuarantinedModel | null {
    if (this.quarantined.some((model) => model.name === name && model.version === version && model.lane === lane)) return null;
    const key = `${lane}\n${name}\n${version}`;
    const nowMs = this.nowMs();
    const recentMs = [...(this.deathsMs.get(key) ?? []).filter((atMs) => nowMs - atMs < WINDOW_MS), nowMs];
    this.deathsMs.set(key, recentMs);
    if (recentMs.length < DEATHS_MAX) return null;
    const model = { name, version, lane, reason: explain(lane, reason) };
    this.quarantined.push(model);
    return model;
  }
}

const explain = (lane: Lane, reason: string): string =>
  `quarantined: ${DEATHS_MAX} ${lane} workers died of it within ${WINDOW_MS / 60_000} minutes, the last one with ${reason}; restart the node to try it again, or add a repaired version`;
