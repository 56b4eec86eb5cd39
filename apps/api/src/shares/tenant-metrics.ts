import { Counter, type Registry } from 'prom-client';

/** Tenants with a label of their own; later ones are counted together. */
const LABELS_MAX = 100;
const OTHER = 'other';

/** What tenants use of the executors, batches left out, and what their limits refuse. */
export class TenantMetrics {
  private readonly labels = new Set<string>();
  private readonly executorSeconds: Counter;
  private readonly refusals: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.executorSeconds = new Counter({
      name: 'interleave_tenant_executor_seconds_total',
      help: 'Executor time that requests of a tenant took, flex ones included, by its rows of each run',
      labelNames: ['tenant'],
      registers,
    });
    this.refusals = new Counter({
      name: 'interleave_tenant_refused_total',
      help: 'Requests refused because their tenant had used its share',
      labelNames: ['tenant'],
      registers,
    });
  }

  used(tenant: string, executorMs: number): void {
    this.executorSeconds.inc({ tenant: this.labelOf(tenant) }, executorMs / 1000);
  }

  refused(tenant: string): void {
    this.refusals.inc({ tenant: this.labelOf(tenant) });
  }

  private labelOf(tenant: string): string {
    if (this.labels.has(tenant)) return tenant;
    if (this.labels.size >= LABELS_MAX) return OTHER;
    this.labels.add(tenant);
    return tenant;
  }
}
