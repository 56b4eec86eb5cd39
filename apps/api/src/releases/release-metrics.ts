import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { RowComparison } from './compare-numbers';

const COSINES = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999, 1];

const RESULTS = ['agree', 'differ', 'incomparable'] as const;
const SHADOW_OUTCOMES = ['compared', 'full', 'unavailable', 'failed'] as const;
const CANARY_OUTCOMES = ['answered', 'rescued', 'failed'] as const;

/** What became of a request that was to run a second time. `full`: there was no room for it; `unavailable`: no worker. */
export type ShadowOutcome = (typeof SHADOW_OUTCOMES)[number];
/** What became of a request that went to a canary. `rescued`: it failed there, and the stable version answered. */
export type CanaryOutcome = (typeof CANARY_OUTCOMES)[number];

/** Labels are models and versions of the repository, or one value of a short list. */
interface Version {
  model: string;
  version: string;
}

const keyOf = ({ model, version }: Version): string => JSON.stringify([model, version]);

/** Metrics of the canaries and mirrored versions of this process. */
export class ReleaseMetrics {
  private readonly rows: Counter;
  private readonly flips: Counter;
  private readonly cosines: Histogram;
  private readonly differences: Gauge;
  private readonly timeRatio: Gauge;
  private readonly shadows: Counter;
  private readonly canary: Counter;
  private readonly known = new Map<string, Version>();

  constructor(registry: Registry) {
    const registers = [registry];
    const labelNames = ['model', 'version'];
    this.rows = new Counter({
      name: 'interleave_release_compared_rows_total',
      help: 'Rows that a version answered beside the stable one, by whether the answers agree',
      labelNames: [...labelNames, 'result'],
      registers,
    });
    this.flips = new Counter({
      name: 'interleave_release_label_flips_total',
      help: 'Labels and entities of compared rows that differ from those of the stable version',
      labelNames,
      registers,
    });
    this.cosines = new Histogram({
      name: 'interleave_release_cosine',
      help: 'Cosine of the vectors of compared rows',
      labelNames,
      buckets: COSINES,
      registers,
    });
    this.differences = new Gauge({
      name: 'interleave_release_largest_difference',
      help: 'Largest absolute difference between two numbers of compared rows, of the files compared last',
      labelNames,
      registers,
      aggregator: 'max',
    });
    this.timeRatio = new Gauge({
      name: 'interleave_release_time_ratio',
      help: 'Executor time of a row, divided by that of the stable version, over all compared rows of the files compared last',
      labelNames,
      registers,
      aggregator: 'max',
    });
    this.shadows = new Counter({
      name: 'interleave_release_shadow_requests_total',
      help: 'Live requests that were to run a second time in the batch lane, by what became of it',
      labelNames: [...labelNames, 'outcome'],
      registers,
    });
    this.canary = new Counter({
      name: 'interleave_canary_requests_total',
      help: 'Live requests that went to a canary, by what became of them',
      labelNames: [...labelNames, 'outcome'],
      registers,
    });
  }

  /** Adds a comparison; the last two are those of all comparisons of its files. */
  compared({ model, version }: Version, rows: readonly RowComparison[], timeRatio: number | null, largestDifference: number | null): void {
    const of = { model, version };
    for (const { agrees, isComparable, cosine, flips } of rows) {
      this.rows.inc({ ...of, result: agrees ? 'agree' : isComparable ? 'differ' : 'incomparable' });
      if (flips > 0) this.flips.inc(of, flips);
      if (cosine !== null) this.cosines.observe(of, cosine);
    }
    if (timeRatio !== null) this.timeRatio.set(of, timeRatio);
    if (largestDifference !== null) this.differences.set(of, largestDifference);
    this.shadow(of, 'compared');
  }

  shadow({ model, version }: Version, outcome: ShadowOutcome): void {
    this.known.set(keyOf({ model, version }), { model, version });
    this.shadows.inc({ model, version, outcome });
  }

  canaryRequest({ model, version }: Version, outcome: CanaryOutcome): void {
    this.known.set(keyOf({ model, version }), { model, version });
    this.canary.inc({ model, version, outcome });
  }

  /** Forgets the versions that the repository has no more. */
  keepOnly(versions: readonly { name: string; version: string }[]): void {
    const kept = new Set(versions.map(({ name, version }) => keyOf({ model: name, version })));
    for (const [key, of] of this.known) {
      if (kept.has(key)) continue;
      this.known.delete(key);
      for (const result of RESULTS) this.rows.remove({ ...of, result });
      for (const outcome of SHADOW_OUTCOMES) this.shadows.remove({ ...of, outcome });
      for (const outcome of CANARY_OUTCOMES) this.canary.remove({ ...of, outcome });
      for (const metric of [this.flips, this.cosines, this.differences, this.timeRatio]) metric.remove({ ...of });
    }
  }
}
