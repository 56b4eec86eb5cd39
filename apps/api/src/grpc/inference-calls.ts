import { InterleaveError } from '@app/contracts';
import { visibleModels } from '@app/models';
import { readInferMessage, streamAnswer, streamError, type InferMessage, type WireMessage } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import { Metadata, type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall } from '@grpc/grpc-js';
import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '../access/caller';
import { asInterleaveError } from '../http/error-answer';
import type { LiveCall } from '../live/live-call';
import { LiveRunner } from '../live/live-runner';
import { Preparer } from '../live/preparer';
import { LiveMetrics } from '../metrics/live-metrics';
import { LOGGER } from '../tokens';
import { isPastDeadline, liveCallOf, optionsOfMetadata, requestIdOf } from './call-metadata';
import { InferStream } from './infer-stream';
import { detailsOf, errorStatus } from './status';

const OK = 200;

/** `ModelInfer` and `ModelStreamInfer`: live requests that come by gRPC. */
@Injectable()
export class InferenceCalls {
  private readonly streams = new Set<InferStream>();

  constructor(
    private readonly runner: LiveRunner,
    private readonly preparer: Preparer,
    private readonly metrics: LiveMetrics,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  infer(caller: Caller, call: ServerUnaryCall<Buffer, WireMessage>, callback: sendUnaryData<WireMessage>): void {
    const live = liveCallOf('grpc_infer', call, caller);
    const trailers = new Metadata();
    const requestId = requestIdOf(call.metadata);
    trailers.set('x-request-id', requestId);
    let answered: number | null = null;
    // Comes after the answer too, once it has left.
    call.once('cancelled', () => this.finish(live, call, answered));
    this.answer(live, call.request, call.metadata).then(
      (message) => {
        answered = OK;
        for (const [name, value] of Object.entries(live.notes)) trailers.set(name, value);
        callback(null, message, trailers);
      },
      (thrown: unknown) => {
        const error = this.known(thrown, live, requestId);
        answered = error.status;
        callback(errorStatus(error, trailers));
      },
    );
  }

  /**
   * `callerNow`: who sends a message that has just come, since keys may be revoked while a stream is open; throws or rejects.
   * `release`: gives back the memory that a message was counted for.
   */
  stream(
    callerNow: () => Caller | Promise<Caller>,
    call: ServerDuplexStream<Buffer, WireMessage>,
    release: (message: Buffer) => void,
  ): void {
    const requestId = requestIdOf(call.metadata);
    const headers = new Metadata();
    headers.set('x-request-id', requestId);
    call.sendMetadata(headers);
    const answer = (bytes: Buffer, live: LiveCall): Promise<WireMessage> => this.streamed(call, bytes, live, requestId);
    const stream = new InferStream(call, { callerNow, answer, release });
    this.streams.add(stream);
    call.once('cancelled', () => this.streams.delete(stream));
  }

  /** No stream takes further requests; each ends when those that it has taken are answered. */
  drain(): void {
    for (const stream of this.streams) stream.drain();
  }

  /** Never rejects. */
  private async streamed(
    call: ServerDuplexStream<Buffer, WireMessage>,
    bytes: Buffer,
    live: LiveCall,
    requestId: string,
  ): Promise<WireMessage> {
    let message: InferMessage | null = null;
    try {
      message = readInferMessage(bytes);
      const answer = await this.run(live, message, bytes, call.metadata);
      this.finish(live, call, OK);
      return streamAnswer(answer);
    } catch (thrown) {
      const error = this.known(thrown, live, requestId);
      this.finish(live, call, live.hangUp.aborted ? null : error.status);
      return streamError(detailsOf(error), message?.id ?? '');
    }
  }

  private async answer(live: LiveCall, bytes: Buffer, metadata: Metadata): Promise<WireMessage> {
    return this.run(live, readInferMessage(bytes), bytes, metadata);
  }

  private run(live: LiveCall, message: InferMessage, bytes: Buffer, metadata: Metadata): Promise<WireMessage> {
    live.options = optionsOfMetadata(metadata);
    return this.runner.answer(live, {
      model: message.model,
      version: message.version,
      kind: message.raw.length > 0 ? 'binary' : live.endpoint,
      bytes: bytes.length,
      heldBytes: bytes.length,
      prepare: (catalog) => this.preparer.prepareMessage(message, visibleModels(catalog, live.caller.models)),
    });
  }

  private known(thrown: unknown, live: LiveCall, requestId: string): InterleaveError {
    const error = asInterleaveError(thrown);
    live.errorCode = error.code;
    if (error.code === 'internal') this.logger.error({ err: error.cause ?? error, requestId, method: live.endpoint }, 'request failed');
    return error;
  }

  /** `answered`: the status of its answer as in HTTP; null: the caller has gone, or its deadline came first. */
  private finish(live: LiveCall, call: Parameters<typeof isPastDeadline>[0], answered: number | null): void {
    live.hangUp.abort();
    if (answered !== null) return this.metrics.finished(live, answered);
    live.errorCode = isPastDeadline(call) ? 'deadline_exceeded' : null;
    this.metrics.finished(live, isPastDeadline(call) ? 504 : 499);
  }
}
