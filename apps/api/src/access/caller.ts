import type { Lane } from '@app/contracts';
import type { FastifyRequest } from 'fastify';

/** Who sends a request. Files, batches, shares and limits belong to the tenant. */
export interface Caller {
  readonly tenant: string;
  /** Id of the key that was shown; null: none was needed. */
  readonly keyId: string | null;
  /** Names of models that may be called; null: all. */
  readonly models: readonly string[] | null;
  readonly lanes: readonly Lane[];
  /** Relative to other tenants', when the node is saturated. */
  readonly weight: number;
  /** Executor milliseconds per second that the tenant may use; null: no limit. */
  readonly shareMsPerSecond: number | null;
}

/** Every caller, where no keys are asked for. */
export const ANONYMOUS: Caller = {
  tenant: 'default',
  keyId: null,
  models: null,
  lanes: ['realtime', 'batch'],
  weight: 1,
  shareMsPerSecond: null,
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Null until it was looked at, and where no keys are asked for: `callerOf`. */
    caller: Caller | null;
  }
}

export function callerOf({ caller }: Pick<FastifyRequest, 'caller'>): Caller {
  return caller ?? ANONYMOUS;
}
