import type { Sees } from '@app/batches';
import { DEFAULT_TENANT, InterleaveError, type Lane } from '@app/contracts';
import type { FastifyRequest } from 'fastify';

/** Who sends a request. Files, batches, shares and limits belong to the tenant. */
export interface Caller {
  readonly tenant: string;
  /** Of the key that was shown; null: none was needed, or a token was shown. */
  readonly keyId: string | null;
  /** Names of models that may be called; null: all. */
  readonly models: readonly string[] | null;
  readonly lanes: readonly Lane[];
  /** Relative to other tenants', when the node is saturated. */
  readonly weight: number;
  /** Executor milliseconds per second that the tenant may use; null: no limit. */
  readonly shareMsPerSecond: number | null;
  /** May look at the dashboard, the fleet, the queues and the metrics, and at the files and batches of all tenants. */
  readonly isOperator: boolean;
}

/** Every caller, where no keys are asked for. */
export const ANONYMOUS: Caller = {
  tenant: DEFAULT_TENANT,
  keyId: null,
  models: null,
  lanes: ['realtime', 'batch'],
  weight: 1,
  shareMsPerSecond: null,
  isOperator: true,
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Null until it was looked at, and on the few routes for which nobody is asked: `callerOf`. */
    caller: Caller | null;
  }
}

export function callerOf({ caller }: Pick<FastifyRequest, 'caller'>): Caller {
  if (caller === null) throw new Error('expected a route behind the access guard');
  return caller;
}

/** Throws `forbidden`. */
export function checkLane({ lanes }: Caller, lane: Lane): void {
  if (lanes.includes(lane)) return;
  throw new InterleaveError(
    'forbidden',
    `This key may use the ${lanes.join(' and ')} lane but not the ${lane} lane; ask the operator of this node for a key with --lanes ${lane}`,
  );
}

/** Whether the caller may know of what a tenant has, as stores ask it. */
export const seenBy =
  ({ isOperator, tenant }: Caller): Sees =>
  (owner) =>
    isOperator || tenant === owner;

export function notAnOperator(): InterleaveError {
  return new InterleaveError(
    'forbidden',
    'This is for operators; use a key that was made with `interleave keys add --operator`, or a token with the claim access.oidc.operatorClaim',
  );
}
