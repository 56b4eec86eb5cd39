import type { InferenceBackend, ModelReport, WorkerModelPlan } from '@app/contracts';
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
  private wasReady = false;

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
    const missing = this.look();
    this.wasReady ||= missing === null;
    return missing;
  }

  private look(): string | null {
    if (this.lifecycle.draining) return 'shutting down';
    const reports = new Map(this.backend.models().map((report) => [report.revision, report]));
    const placed = this.placement.workers().filter(({ lane }) => lane === 'realtime');
    const expected = placed.flatMap((worker) => worker.models).filter((plan) => this.isAwaited(plan));
    if (placed.every(({ models }) => models.length === 0)) return this.placement.problem ?? this.nothingPlaced();
    const loading = [...new Set(expected.filter(({ revision }) => isUnsettled(reports.get(revision))).map(nameOf))];
    if (loading.length > 0) return `loading: ${loading.join(', ')}`;
    if (![...reports.values()].some(({ state }) => state === 'ready') && expected.length > 0) return 'no model is ready';
    return null;
  }

  /** Neither what loads beside files that serve, nor what is loaded for somebody, nor what came to a node that was ready. */
  private isAwaited({ name, version, revision }: WorkerModelPlan): boolean {
    const placed = this.placement.placement?.versions?.find((other) => other.name === name && other.version === version);
    if (placed === undefined || placed.serving === revision) return true;
    return placed.serving === null && placed.onDemand !== true && !this.wasReady;
  }

  /** A node whose models are loaded for whoever asks, or by command, answers as it is. */
  private nothingPlaced(): string | null {
    const isForLater = this.placement.placement?.versions?.some(({ state }) => state === 'unloaded') ?? false;
    return isForLater ? null : 'no model is placed on the real-time lane';
  }
}

const nameOf = (model: { name: string; version: string }): string => `${model.name}/${model.version}`;
const isUnsettled = (report: ModelReport | undefined): boolean => report === undefined || report.state === 'loading';
