import type { Lane } from '@app/contracts';
import { BoundedLabel } from '@app/telemetry';
import { Histogram, type Registry } from 'prom-client';
import type { OnStep } from './graph-run';

const BUCKETS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30];
/** Graphs and their steps with labels of their own, since the process began; later ones are counted together. */
const LABELS_MAX = 200;

/** How long requests are in the steps of graphs, for every lane of a process. */
export class StepMetrics {
  private readonly seconds: Histogram;
  private readonly models = new BoundedLabel(LABELS_MAX);
  private readonly steps = new BoundedLabel(LABELS_MAX);

  constructor(registry: Registry) {
    this.seconds = new Histogram({
      name: 'interleave_step_duration_seconds',
      help: 'Time of one request in a step of a graph of models, its wait included',
      labelNames: ['lane', 'model', 'step'],
      buckets: BUCKETS,
      registers: [registry],
    });
  }

  /** For the backend of a lane. */
  of(lane: Lane): OnStep {
    return ({ plan }, { label }, seconds) => {
      this.seconds.observe({ lane, model: this.models.of(plan.name), step: this.steps.of(label) }, seconds);
    };
  }
}
