import type { InferenceBackend, ModelReport, Placement } from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import { Lifecycle } from '../lifecycle';
import { BACKEND, PLACEMENT } from '../parts';

/**
 * Ready: every model that the placement gives to the real-time lane was loaded or has failed for good, at least one
 * answers, and this process is not draining.
 */
@Injectable()
export class Readiness {
  private readonly expected: string[];

  constructor(
    @Inject(PLACEMENT) placement: Placement,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    private readonly lifecycle: Lifecycle,
  ) {
    const models = placement.workers.filter(({ lane }) => lane === 'realtime').flatMap((worker) => worker.models);
    this.expected = [...new Set(models.map(modelKey))];
  }

  /** Null when ready, else what is missing. */
  missing(): string | null {
    if (this.lifecycle.draining) return 'shutting down';
    const reports = new Map(this.backend.models().map((report) => [modelKey(report), report]));
    const loading = this.expected.filter((key) => isUnsettled(reports.get(key)));
    if (loading.length > 0) return `loading: ${loading.join(', ')}`;
    if (![...reports.values()].some(({ state }) => state === 'ready')) return 'no model is ready';
    return null;
  }
}

const modelKey = (model: { name: string; version: string }): string => `${model.name}/${model.version}`;
const isUnsettled = (report: ModelReport | undefined): boolean => report === undefined || report.state === 'loading';
