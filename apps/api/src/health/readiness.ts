import type { InferenceBackend, ModelReport } from '@app/contracts';
import { PlacementReader } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import { Lifecycle } from '../lifecycle';
import { BACKEND } from '../tokens';

/**
 * Ready: every model that the placement gives to the real-time lane was loaded or has failed for good, at least one
 * answers, and this process is not draining.
 */
@Injectable()
export class Readiness {
  constructor(
    private readonly placement: PlacementReader,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    private readonly lifecycle: Lifecycle,
  ) {}

  get draining(): boolean {
    return this.lifecycle.draining;
  }

  /** Null when ready, else what is missing. */
  missing(): string | null {
    if (this.lifecycle.draining) return 'shutting down';
    const reports = new Map(this.backend.models().map((report) => [modelKey(report), report]));
    const expected = this.placement
      .workers()
      .filter(({ lane }) => lane === 'realtime')
      .flatMap((worker) => worker.models.map(modelKey));
    if (expected.length === 0) return this.placement.problem ?? 'no model is placed on the real-time lane';
    const loading = [...new Set(expected)].filter((key) => isUnsettled(reports.get(key)));
    if (loading.length > 0) return `loading: ${loading.join(', ')}`;
    if (![...reports.values()].some(({ state }) => state === 'ready')) return 'no model is ready';
    return null;
  }
}

const modelKey = (model: { name: string; version: string }): string => `${model.name}/${model.version}`;
const isUnsettled = (report: ModelReport | undefined): boolean => report === undefined || report.state === 'loading';
