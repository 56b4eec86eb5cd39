import type { Config } from '@app/config';
import type { InferenceBackend } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { NOTHING, Preparation, type Preparing } from '../admission/preparation';
import { isJson } from '../http/media-type';
import { BACKEND, CATALOG, CONFIG } from '../tokens';
import { callerOptions } from './caller-options';

const SMALL_BODY_BYTES = 8 * 1024;

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

  /** Before the body. Throws `overloaded`, what is wrong with the headers, and what is to be said about the model. */
  checkHeaders(request: FastifyRequest): void {
    const { 'content-length': length } = request.headers;
    this.look(request, length === undefined ? null : Number(length));
  }

  /** After the body, before it is parsed: others may have come in the meantime. Give the result to `leave`. */
  enter(request: FastifyRequest, bodyBytes: number): Preparing {
    const workNs = this.look(request, bodyBytes);
    return this.preparation.enter(kindOf(request), bodyBytes, workNs);
  }

  leave(preparing: Preparing, items: number | null): void {
    this.preparation.leave(preparing, items);
  }

  private look(request: FastifyRequest, bodyBytes: number | null): number {
    const { model = null, version = null } = request.params as { model?: string; version?: string };
    const modelTimeoutMs = model === null ? null : this.catalog.find(model, version).timeoutMs;
    const timeoutMs = callerOptions(request.headers).timeoutMs ?? modelTimeoutMs ?? this.config.realtime.timeoutMs;
    // Small ones pass the large ones that are being prepared.
    const { waitMs, items, workNs } = bodyBytes !== null && isSmall(bodyBytes) ? NOTHING : this.preparation.ahead();
    this.preparation.checkRoom(waitMs, timeoutMs);
    return this.backend.checkAhead({ model, version, timeoutMs, bodyBytes, aheadNs: workNs, itemsAhead: items });
  }
}

/** Preparing it takes the event loop well under a millisecond. */
export function isSmall(bodyBytes: number): boolean {
  return bodyBytes <= SMALL_BODY_BYTES;
}

/** JSON takes a thousand times longer for each byte than tensors as they are. */
function kindOf({ headers, live }: FastifyRequest): string {
  return isJson(headers) ? (live?.endpoint ?? '') : 'binary';
}
