import type { Lane } from '@app/contracts';
import { BoundedLabel, CounterCells, GaugeCells, OTHER } from '@app/telemetry';
import type { Registry } from 'prom-client';

/** Tenants with a label of their own; later ones are counted together. */
const LABELS_MAX = 100;

/** What tenants use of the executors, batches left out, and what their limits refuse. */
export class TenantMetrics {
  private readonly labels = new BoundedLabel(LABELS_MAX);
  private readonly executorSeconds: CounterCells<'tenant'>;
  private readonly refusals: CounterCells<'tenant' | 'lane'>;
  private readonly inFlight: GaugeCells<'tenant'>;
  private readonly shares: GaugeCells<'tenant'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.executorSeconds = new CounterCells({
      name: 'interleave_tenant_executor_seconds_total',
      help: 'Executor time that requests of a tenant took, flex ones included, by its rows of each run',
      labelNames: ['tenant'],
      registers,
    });
    this.refusals = new CounterCells({
      name: 'interleave_tenant_refused_total',
      help: 'Requests refused because their tenant had used its share',
      labelNames: ['tenant', 'lane'],
      registers,
    });
    this.inFlight = new GaugeCells({
      name: 'interleave_tenant_requests_in_flight',
      help: 'Requests of a tenant that wait for the live executors or run there',
      labelNames: ['tenant'],
      registers,
    });
    this.shares = new GaugeCells({
      name: 'interleave_tenant_share_executor_seconds',
      help: 'Executor time that a tenant may use each second; only tenants with a limit, as their last request said',
      labelNames: ['tenant'],
      registers,
    });
  }

  /** Its request was taken. Null: it has no limit. Those that are counted together have no share in common. */
  began(tenant: string, shareMsPerSecond: number | null): void {
    const label = this.labels.of(tenant);
    this.inFlight.of(label).inc();
    this.setShare(label, shareMsPerSecond);
  }

  ended(tenant: string): void {
    this.inFlight.of(this.labels.of(tenant)).dec();
  }

  used(tenant: string, executorMs: number): void {
    this.executorSeconds.of(this.labels.of(tenant)).inc(executorMs / 1000);
  }

  refused(tenant: string, lane: Lane, shareMsPerSecond: number): void {
    const label = this.labels.of(tenant);
    this.refusals.of(label, lane).inc();
    this.setShare(label, shareMsPerSecond);
  }

  private setShare(label: string, shareMsPerSecond: number | null): void {
    if (shareMsPerSecond === null || label === OTHER) this.shares.remove(label);
    else this.shares.of(label).set(shareMsPerSecond / 1000);
  }
}
