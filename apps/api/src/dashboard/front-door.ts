import type { MetricsView } from './metrics-view';
import { perSecond, Readings } from './readings';
import type { FrontDoorState } from './state';

const SECONDS = 'interleave_tenant_executor_seconds_total';
const IN_FLIGHT = 'interleave_tenant_requests_in_flight';
const REFUSED = 'interleave_tenant_refused_total';
const SHARE = 'interleave_tenant_share_executor_seconds';
const TIERS = 'interleave_tier_requests_total';
const CALLS = 'interleave_grpc_calls_total';
const OPEN_CALLS = 'interleave_grpc_open_calls';
const HITS = 'interleave_response_cache_hits_total';
const MISSES = 'interleave_response_cache_misses_total';
const KEYS = 'interleave_keys';

/** Who comes in, and by which door. */
export class FrontDoor {
  private readonly readings = new Readings<{ tenants: Map<string, number>; tiers: Map<string, number> }>();

  /** Takes a reading; `nowMs` on any steady clock. */
  read(metrics: MetricsView, nowMs: number): FrontDoorState {
    const now = { tenants: byLabel(metrics, 'tenant', SECONDS), tiers: byLabel(metrics, 'tier', TIERS) };
    const { before, seconds } = this.readings.add(now, nowMs);
    const rateOf = (counter: 'tenants' | 'tiers', label: string): number | null =>
      perSecond(before[counter].get(label) ?? 0, now[counter].get(label) ?? 0, seconds);
    return {
      tenants: union(metrics, 'tenant', [SECONDS, IN_FLIGHT, REFUSED]).map((tenant) => ({
        tenant,
        shareMsPerSecond: inMs(metrics.max(SHARE, { tenant })),
        usedMsPerSecond: inMs(rateOf('tenants', tenant)),
        inFlight: metrics.sum(IN_FLIGHT, { tenant }),
        refused: metrics.sum(REFUSED, { tenant }),
      })),
      tiers: [...now.tiers].map(([tier, requests]) => ({ tier, requests, requestsPerSecond: rateOf('tiers', tier) })),
      grpc: union(metrics, 'method', [CALLS, OPEN_CALLS]).map((method) => ({
        method,
        open: metrics.sum(OPEN_CALLS, { method }),
        calls: metrics
          .labels(CALLS, 'status')
          .map((status) => ({ status, calls: metrics.sum(CALLS, { method, status }) }))
          .filter(({ calls }) => calls > 0),
      })),
      cache: {
        bytes: metrics.sum('interleave_response_cache_bytes'),
        models: union(metrics, 'model', [HITS, MISSES]).map((model) => ({
          model,
          hits: metrics.sum(HITS, { model }),
          misses: metrics.sum(MISSES, { model }),
        })),
      },
      keys: {
        valid: metrics.sum(KEYS, { state: 'valid' }),
        ending: metrics.sum(KEYS, { state: 'ending' }),
        expired: metrics.sum(KEYS, { state: 'expired' }),
        requestsWithout: metrics.sum('interleave_requests_without_valid_key_total'),
      },
    };
  }
}

const inMs = (seconds: number | null): number | null => (seconds === null ? null : seconds * 1000);

const byLabel = (metrics: MetricsView, label: string, name: string): Map<string, number> =>
  new Map(metrics.labels(name, label).map((value) => [value, metrics.sum(name, { [label]: value })]));

const union = (metrics: MetricsView, label: string, names: string[]): string[] =>
  [...new Set(names.flatMap((name) => metrics.labels(name, label)))].sort();
