import { InterleaveError, type InferenceBackend } from '@app/contracts';
import type { PreparedItems, ServiceTier } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { checkLane } from '../access/caller';
import { BatchLaneState } from '../lane/batch-lane-state';
import { BACKEND, BATCH_BACKEND } from '../tokens';
import { TIER_HEADER } from './caller-options';
import type { LiveCall } from './live-call';

/** A pause of the batch lane lasts at least so long. */
const PAUSED_RETRY_SECONDS = 5;
const NO_WORKER_RETRY_SECONDS = 30;
/** The highest there is. */
const PRIORITY = 1;

/** Where a request runs, and how far ahead. */
export interface TierPlan {
  /** As asked for; null: nothing was said. */
  tier: ServiceTier | null;
  backend: InferenceBackend;
  priority: number;
}

/** What callers buy with `service_tier`: `flex` the batch lane, `priority` the front of the live lane. */
@Injectable()
export class ServiceTiers {
  constructor(
    @Inject(BACKEND) private readonly live: InferenceBackend,
    @Inject(BATCH_BACKEND) private readonly batch: InferenceBackend,
    private readonly batchLane: BatchLaneState,
  ) {}

  /** Notes the lane of the call. Rejects with `overloaded` when `flex` cannot run now. */
  async planOf(call: LiveCall, prepared: PreparedItems): Promise<TierPlan> {
    const tier = tierOf(call, prepared);
    call.tier = tier ?? 'default';
    if (tier !== 'flex') {
      checkLane(call.caller, 'realtime');
      return { tier, backend: this.live, priority: priorityOf(call, prepared, tier) };
    }
    enterBatchLane(call);
    await this.checkOpen(prepared);
    return { tier, backend: this.batch, priority: priorityOf(call, prepared, tier) };
  }

  private async checkOpen({ model, version, revision }: PreparedItems): Promise<void> {
    const report = this.batch.models().find((other) => other.name === model && other.version === version && other.revision === revision);
    if (report?.state !== 'ready') {
      const reason = report === undefined ? 'no batch worker has it' : `it is ${report.state} there`;
      throw refusal(`The batch lane does not serve model ${model} now (${reason})`, NO_WORKER_RETRY_SECONDS);
    }
    if (await this.batchLane.isPaused(model, version))
      throw refusal('The batch lane is paused, because live requests miss their goal', PAUSED_RETRY_SECONDS);
  }
}

/** Notes where a `flex` call runs. Throws `forbidden` where its caller may not use that lane. */
export function enterBatchLane(call: LiveCall): void {
  call.lane = 'batch';
  call.tier = 'flex';
  checkLane(call.caller, 'batch');
}

/** Header and body may both say it, the same. */
function tierOf({ options }: LiveCall, prepared: PreparedItems): ServiceTier | null {
  const asked = prepared.tier ?? null;
  if (asked === null || options.tier === null || asked === options.tier) return asked ?? options.tier;
  throw new InterleaveError(
    'invalid_request',
    `expected one service tier but received "${asked}" in the body and "${options.tier}" in ${TIER_HEADER}; leave one of them out`,
    { param: 'service_tier' },
  );
}

function priorityOf({ options }: LiveCall, prepared: PreparedItems, tier: ServiceTier | null): number {
  return options.priority ?? (tier === 'priority' ? PRIORITY : prepared.priority);
}

function refusal(reason: string, retryAfterSeconds: number): InterleaveError {
  return new InterleaveError(
    'overloaded',
    `${reason}; try again in ${retryAfterSeconds} s, or leave out service_tier "flex" to run in the live lane`,
    { retryAfterSeconds },
  );
}

/** Tells the tier of an answer whose caller asked for one. */
export function noteTier(call: LiveCall, prepared: PreparedItems): void {
  const tier = tierOf(call, prepared);
  if (tier !== null) call.notes[TIER_HEADER] = tier;
}
