import type { Config } from '@app/config';
import type { InferenceBackend } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { Inject, Injectable } from '@nestjs/common';
import { NOTHING, Preparation, type Preparing } from '../admission/preparation';
import { BACKEND, CATALOG, CONFIG } from '../tokens';
import type { LiveCall } from './live-call';

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
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    private readonly preparation: Preparation,
  ) {}

  /**
   * Before the body is read, and again before it is parsed: others may have come in the meantime. Throws `overloaded`, and
   * what is to be said about the model. Returns the predicted work in ns.
   */
  look({ options, timeoutMsMax }: LiveCall, { model, version, bytes }: UnpreparedBody<number | null>): number {
    const modelTimeoutMs = model === null ? null : this.catalog.find(model, version).timeoutMs;
    const timeoutMs = Math.min(options.timeoutMs ?? modelTimeoutMs ?? this.config.realtime.timeoutMs, timeoutMsMax);
    // Small ones pass the large ones that are being prepared.
    const { waitMs, items, workNs } = bytes !== null && isSmall(bytes) ? NOTHING : this.preparation.ahead();
    this.preparation.checkRoom(waitMs, timeoutMs);
    return this.backend.checkAhead({ model, version, timeoutMs, bodyBytes: bytes, aheadNs: workNs, itemsAhead: items });
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
