import type { FrontDoorView } from '@app/contracts';
import { rounded } from '../rounded';
import type { CounterWindow } from '../sample/counter-window';
import type { MetricsView } from '../sample/metrics-view';
import { inMs } from './lanes';

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

const TENANTS_SHOWN_MAX = 100;

/** Who comes in, and by which door. `metrics`: gauges and counts since their processes started; `window`: what rates are taken of. */
export function frontDoorView(metrics: MetricsView, window: CounterWindow): FrontDoorView {
  const tenants = union(metrics, 'tenant', [SECONDS, IN_FLIGHT, REFUSED]).map((tenant) => ({
    tenant,
    shareMsPerSecond: inMs(metrics.max(SHARE, { tenant })),
    usedMsPerSecond: inMs(window.perSecond(SECONDS, { tenant })),
    inFlight: metrics.sum(IN_FLIGHT, { tenant }),
    refused: metrics.sum(REFUSED, { tenant }),
  }));
  const byUse = tenants.sort((a, b) => (b.usedMsPerSecond ?? 0) - (a.usedMsPerSecond ?? 0) || b.inFlight - a.inFlight);
  return {
    tenants: byUse.slice(0, TENANTS_SHOWN_MAX),
    tiers: metrics.labels(TIERS, 'tier').map((tier) => ({
      tier,
      requests: metrics.sum(TIERS, { tier }),
      requestsPerSecond: rounded(window.perSecond(TIERS, { tier })),
    })),
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

const union = (metrics: MetricsView, label: string, names: string[]): string[] =>
  [...new Set(names.flatMap((name) => metrics.labels(name, label)))].sort();
