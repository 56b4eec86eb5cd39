import type { IncomingHttpHeaders } from 'node:http';
import { InterleaveError, TIMEOUT_MS_MAX } from '@app/contracts';
import { readServiceTier, type ServiceTier } from '@app/protocols';

const PRIORITY_MAX = 255;
/** In requests and answers. */
export const TIER_HEADER = 'x-interleave-service-tier';
export const USER_HEADER = 'x-interleave-user';

/** What a caller may say in headers about any live request; null where nothing was said. */
export interface CallerOptions {
  timeoutMs: number | null;
  priority: number | null;
  /** Something else than the model may answer, where its owner allows it. */
  mayDegrade: boolean;
  tier: ServiceTier | null;
  /** For whom it is: requests for one user get the same version. */
  user: string | null;
}

export const NO_OPTIONS: CallerOptions = { timeoutMs: null, priority: null, mayDegrade: true, tier: null, user: null };

export function callerOptions(headers: IncomingHttpHeaders): CallerOptions {
  return {
    timeoutMs: integerHeader(headers, 'x-interleave-timeout-ms', { min: 1, max: TIMEOUT_MS_MAX }),
    priority: integerHeader(headers, 'x-interleave-priority', { min: 0, max: PRIORITY_MAX }),
    mayDegrade: mayDegrade(headers['x-interleave-degrade']),
    tier: readServiceTier(headers[TIER_HEADER], TIER_HEADER),
    user: headers[USER_HEADER]?.toString() ?? null,
  };
}

function mayDegrade(text: string | string[] | undefined): boolean {
  if (text === undefined) return true;
  if (text === 'never') return false;
  const received = JSON.stringify(text);
  throw new InterleaveError('invalid_request', `Header x-interleave-degrade: expected never, or no such header, received ${received}`, {
    param: 'x-interleave-degrade',
  });
}

function integerHeader(headers: IncomingHttpHeaders, name: string, range: { min: number; max: number }): number | null {
  const text = headers[name];
  if (text === undefined) return null;
  const value = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (value >= range.min && value <= range.max) return value;
  throw new InterleaveError(
    'invalid_request',
    `Header ${name}: expected an integer from ${range.min} to ${range.max}, received ${JSON.stringify(text)}`,
    { param: name },
  );
}
