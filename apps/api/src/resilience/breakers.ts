import type { BreakerState, BreakerStatus } from '@app/contracts';
import { Counter, Gauge, type Registry } from 'prom-client';
import { Breaker, type BreakerSettings, type Verdict } from './breaker';

const STATE_NUMBERS: Record<BreakerState, number> = { closed: 0, 'half-open': 1, open: 2 };

/** All breakers of this process, by name. Names come from the program and from the repository, never from callers. */
export class Breakers {
  private readonly byName = new Map<string, Breaker>();

  constructor(
    registry: Registry,
    private readonly settings: BreakerSettings,
  ) {
    const statuses = (): BreakerStatus[] => this.list();
    new Gauge({
      name: 'interleave_breaker_state',
      help: 'Circuit breakers: 0 closed, 1 half open, 2 open',
      labelNames: ['name'],
      registers: [registry],
      collect() {
        for (const { name, state } of statuses()) this.set({ name }, STATE_NUMBERS[state]);
      },
    });
    new Counter({
      name: 'interleave_breaker_opened_total',
      help: 'Times that a circuit breaker opened',
      labelNames: ['name'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { name, opened } of statuses()) this.inc({ name }, opened);
      },
    });
  }

  /** The one with this name, made when it is first asked for; `window` in place of the settings'. */
  of(name: string, verdictOf: (error: unknown) => Verdict, window: Partial<Pick<BreakerSettings, 'callsMax' | 'callsMin'>> = {}): Breaker {
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const created = new Breaker(name, { ...this.settings, ...window }, verdictOf);
    this.byName.set(name, created);
    return created;
  }

  /** The next one with this name begins anew. */
  forget(name: string): void {
    this.byName.delete(name);
  }

  find(name: string): BreakerStatus | null {
    return this.byName.get(name)?.status() ?? null;
  }

  list(): BreakerStatus[] {
    return [...this.byName.values()].map((breaker) => breaker.status());
  }
}
