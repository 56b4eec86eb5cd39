import type { Config } from '@app/config';
import type { InferenceBackend } from '@app/contracts';
import { visibleModels, type ModelView } from '@app/models';
import { Inject, Injectable } from '@nestjs/common';
import { NOTHING, Preparation, type Ahead, type Preparing } from '../admission/preparation';
import { ModelLoads } from '../repository/model-loads';
import { Degradation } from '../resilience/degradation';
import { TenantShares } from '../shares/tenant-shares';
import { BACKEND, CATALOG, CONFIG } from '../tokens';
import type { LiveCall } from './live-call';
import { enterBatchLane } from './service-tiers';

const SMALL_BODY_BYTES = 8 * 1024;

/** What is known of a request before its body is parsed. */
export interface UnpreparedBody<Bytes extends number | null = number> {
  /** From the path; null: the body names it. */
  model: string | null;
  version: string | null;
  /** Bodies of one kind take about as long for each byte: JSON a thousand times longer than tensors as they are. */
  kind: string;
  /** Length; null: not known yet. */
  bytes: Bytes;
}

/**
 * Decides, from headers and length alone, whether a live request is read, and then whether it is parsed and tokenized:
 * all of that costs more than a refusal, and often more than the model's run.
 */
@Injectable()
export class LiveGate {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    @Inject(CATALOG) private readonly catalog: ModelView,
    private readonly preparation: Preparation,
    private readonly degradation: Degradation,
    private readonly shares: TenantShares,
    private readonly loads: ModelLoads,
  ) {}

  /**
   * Before the body is read, and again before it is parsed: others may have come in the meantime. Throws `overloaded`,
   * `forbidden`, and what is to be said about the model. Returns the predicted work in ns.
   */
  look(call: LiveCall, body: UnpreparedBody<number | null>): number {
    try {
      return this.lookAt(call, body);
    } catch (error) {
      if (this.loads.mayHelp(error)) {
        this.shares.look(call);
        this.checkRoom(body, this.config.realtime.timeoutMs);
        return 0;
      }
      const isHelped = this.degradation.mayHelp(call, body.model, error, ({ model, version }) =>
        this.lookAt(call, { ...body, model, version }),
      );
      if (!isHelped) throw error;
      // It may have been that there is no room.
      this.checkRoom(body, this.config.realtime.timeoutMs);
      return 0;
    }
  }

  private lookAt(call: LiveCall, { model, version, bytes }: UnpreparedBody<number | null>): number {
    const { options, caller, timeoutMsMax } = call;
    const found = model === null ? null : visibleModels(this.catalog, caller.models).find(model, version);
    const timeoutMs = Math.min(options.timeoutMs ?? found?.timeoutMs ?? this.config.realtime.timeoutMs, timeoutMsMax);
    const { items, workNs } = this.checkRoom({ bytes }, timeoutMs);
    // It is not the live workers that have to answer it; the share is the same.
    if (options.tier === 'flex') enterBatchLane(call);
    this.shares.look(call);
    if (options.tier === 'flex') return 0;
    return this.backend.checkAhead({
      model: found?.name ?? null,
      version: found?.version ?? null,
      revision: found?.revision,
      timeoutMs,
      bodyBytes: bytes,
      aheadNs: workNs,
      itemsAhead: items,
      share: caller,
    });
  }

  /** Small ones pass the large ones that are being prepared. */
  private checkRoom({ bytes }: Pick<UnpreparedBody<number | null>, 'bytes'>, timeoutMs: number): Ahead {
    const ahead = bytes !== null && isSmall(bytes) ? NOTHING : this.preparation.ahead();
    this.preparation.checkRoom(ahead.waitMs, timeoutMs);
    return ahead;
  }

  /** When its body begins to be parsed. Give the result to `leave`. */
  enter(call: LiveCall, body: UnpreparedBody): Preparing {
    const workNs = this.look(call, body);
    return this.preparation.enter(body.kind, body.bytes, workNs);
  }

  leave(preparing: Preparing, items: number | null): void {
    this.preparation.leave(preparing, items);
  }
}

/** Preparing it takes the event loop well under a millisecond. */
export function isSmall(bodyBytes: number): boolean {
  return bodyBytes <= SMALL_BODY_BYTES;
}
