import { InterleaveError } from '@app/contracts';
import { visibleModels, type ModelView } from '@app/models';
import {
  CONTENT_HEADER,
  readInferMessage,
  streamAnswer,
  streamError,
  type InferMessage,
  type PreparedRequest,
  type WireMessage,
} from '@app/protocols';
import type { Attributes, Logger, Tracing } from '@app/telemetry';
import { type Metadata, type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall } from '@grpc/grpc-js';
import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '../access/caller';
import { asInterleaveError } from '../http/error-answer';
import { logFailure } from '../http/log-failure';
import type { LiveCall } from '../live/live-call';
import { LiveRunner } from '../live/live-runner';
import { Preparer } from '../live/preparer';
import { noteFailure } from '../live/timing-note';
import { LiveMetrics } from '../metrics/live-metrics';
import { LOGGER, TRACING } from '../tokens';
import { endLiveTrace } from '../tracing/live-spans';
import { RequestTrace } from '../tracing/request-trace';
import { answerMetadata, carrierOfMetadata, isPastDeadline, liveCallOf, optionsOfMetadata, requestIdOf, textOf } from './call-metadata';
import { InferStream } from './infer-stream';
import { ModelContents } from './model-contents';
import { detailsOf, errorStatus } from './status';

const OK = 200;
const SERVICE = 'inference.GRPCInferenceService';

/** `ModelInfer` and `ModelStreamInfer`: live requests that come by gRPC. */
@Injectable()
export class InferenceCalls {
  private readonly streams = new Set<InferStream>();

  constructor(
    private readonly runner: LiveRunner,
    private readonly preparer: Preparer,
    private readonly contents: ModelContents,
    private readonly metrics: LiveMetrics,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(TRACING) private readonly tracing: Tracing | null,
  ) {}

  infer(caller: Caller, call: ServerUnaryCall<Buffer, WireMessage>, callback: sendUnaryData<WireMessage>): void {
    const requestId = requestIdOf(call.metadata);
    const live = liveCallOf('grpc_infer', call, caller, { requestId, trace: this.traceOf('ModelInfer', call.metadata, requestId) });
    const trailers = answerMetadata(requestId);
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
        const error = this.known(thrown, live);
        answered = error.status;
        for (const [name, value] of Object.entries(live.notes)) trailers.set(name, value);
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
    call.sendMetadata(answerMetadata(requestId));
    const trace = this.traceOf('ModelStreamInfer', call.metadata, requestId);
    let messages = 0;
    const begin = (caller: Caller): LiveCall => {
      const ownId = `${requestId}/${++messages}`;
      const own = trace?.child('message', { 'rpc.message.id': messages, 'interleave.request_id': ownId }) ?? null;
      return liveCallOf('grpc_stream_infer', call, caller, { requestId: ownId, trace: own });
    };
    const answer = (bytes: Buffer, live: LiveCall): Promise<WireMessage> => this.streamed(call, bytes, live);
    const stream = new InferStream(call, { callerNow, begin, answer, release });
    this.streams.add(stream);
    call.once('cancelled', () => {
      this.streams.delete(stream);
      trace?.end(OK);
    });
  }

  /** No stream takes further requests; each ends when those that it has taken are answered. */
  drain(): void {
    for (const stream of this.streams) stream.drain();
  }

  /** Never rejects. */
  private async streamed(call: ServerDuplexStream<Buffer, WireMessage>, bytes: Buffer, live: LiveCall): Promise<WireMessage> {
    let message: InferMessage | null = null;
    try {
      message = readInferMessage(bytes);
      const answer = await this.run(live, message, bytes, call.metadata);
      this.finish(live, call, OK);
      return streamAnswer(answer, notesOf(live));
    } catch (thrown) {
      const error = this.known(thrown, live);
      this.finish(live, call, live.hangUp.aborted ? null : error.status);
      return streamError(detailsOf(error), message?.id ?? '', notesOf(live));
    }
  }

  private async answer(live: LiveCall, bytes: Buffer, metadata: Metadata): Promise<WireMessage> {
    return this.run(live, readInferMessage(bytes), bytes, metadata);
  }

  private run(live: LiveCall, message: InferMessage, bytes: Buffer, metadata: Metadata): Promise<WireMessage> {
    live.options = optionsOfMetadata(metadata);
    const content = textOf(metadata, CONTENT_HEADER);
    return this.runner.answer(live, {
      model: message.model,
      version: message.version,
      kind: message.raw.length > 0 ? 'binary' : live.endpoint,
      bytes: bytes.length,
      heldBytes: bytes.length,
      prepare: (catalog) => this.prepare(message, visibleModels(catalog, live.caller.models), content),
    });
  }

  /** `content`: digest of the files that may answer; undefined: any. */
  private async prepare(message: InferMessage, catalog: ModelView, content: string | undefined): Promise<PreparedRequest<WireMessage>> {
    const prepared = await this.preparer.prepareMessage(message, catalog);
    if (content !== undefined) await this.contents.check(prepared, content);
    return prepared;
  }

  private known(thrown: unknown, live: LiveCall): InterleaveError {
    const error = asInterleaveError(thrown);
    live.errorCode = error.code;
    noteFailure(live);
    logFailure(this.logger, error, { ...live, method: live.endpoint });
    return error;
  }

  /** Null: nothing is traced. */
  private traceOf(method: string, metadata: Metadata, requestId: string): RequestTrace | null {
    if (this.tracing === null) return null;
    const attributes: Attributes = {
      'rpc.system': 'grpc',
      'rpc.service': SERVICE,
      'rpc.method': method,
      'interleave.request_id': requestId,
    };
    return new RequestTrace(this.tracing, `${SERVICE}/${method}`, carrierOfMetadata(metadata), attributes);
  }

  /** `answered`: the status of its answer as in HTTP; null: the caller has gone, or its deadline came first. */
  private finish(live: LiveCall, call: Parameters<typeof isPastDeadline>[0], answered: number | null): void {
    live.hangUp.abort();
    if (answered === null) live.errorCode = isPastDeadline(call) ? 'deadline_exceeded' : null;
    const status = answered ?? (isPastDeadline(call) ? 504 : 499);
    endLiveTrace(live, status);
    this.metrics.finished(live, status);
  }
}

/** What a message of a stream says beside its answer. */
function notesOf({ requestId, notes }: LiveCall): Record<string, string> {
  return { 'x-request-id': requestId, ...notes };
}
