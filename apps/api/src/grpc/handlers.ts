import { InterleaveError } from '@app/contracts';
import type { WireMessage } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import {
  Metadata,
  type MethodDefinition,
  type sendUnaryData,
  type Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { Inject, Injectable } from '@nestjs/common';
import { asInterleaveError } from '../http/error-answer';
import { LOGGER } from '../tokens';
import { requestIdOf } from './call-metadata';
import { healthService, inferenceService, withRawRequests } from './definitions';
import { GrpcHealth, type Watcher } from './health';
import type { HeldMemory } from './held-memory';
import { InferenceCalls } from './inference-calls';
import { InfoCalls } from './info-calls';
import { errorStatus } from './status';

type Method = MethodDefinition<unknown, unknown>;
type UnaryHandler = (call: ServerUnaryCall<Buffer, unknown>, callback: sendUnaryData<unknown>) => void;

/** Who handles which call. */
@Injectable()
export class Handlers {
  constructor(
    private readonly inference: InferenceCalls,
    private readonly info: InfoCalls,
    private readonly health: GrpcHealth,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  addTo(server: Server, memory: HeldMemory): void {
    const service = inferenceService();
    const unary = Object.entries(service).map(([name, method]): [string, UnaryHandler] => [
      name,
      this.unary(method as Method, (request) => this.info.answer(name, request)),
    ]);
    server.addService(withRawRequests(service), {
      ...Object.fromEntries(unary),
      ModelInfer: (call: ServerUnaryCall<Buffer, WireMessage>, callback: sendUnaryData<WireMessage>) =>
        this.inference.infer(call, callback),
      ModelStreamInfer: (call: ServerDuplexStream<Buffer, WireMessage>) =>
        this.inference.stream(call, (message) => memory.release(call.metadata, message)),
    });
    this.addHealth(server);
  }

  private addHealth(server: Server): void {
    const service = healthService();
    const { Check, List, Watch } = service as Record<string, Method>;
    const serviceOf = (method: Method | undefined, bytes: Buffer): string => (read(method as Method, bytes) as { service: string }).service;
    server.addService(withRawRequests(service), {
      Check: this.unary(Check as Method, (request) => this.health.check((request as { service: string }).service)),
      List: this.unary(List as Method, () => this.health.list()),
      Watch: (call: ServerWritableStream<Buffer, unknown>) => {
        try {
          this.health.watch(call as Watcher, serviceOf(Watch, call.request));
        } catch (error) {
          call.emit('error', errorStatus(asInterleaveError(error)));
        }
      },
    });
  }

  /** A call with one small answer, which is there at once. */
  private unary(method: Method, answer: (request: unknown) => object): UnaryHandler {
    return (call, callback) => {
      const trailers = new Metadata();
      const requestId = requestIdOf(call.metadata);
      trailers.set('x-request-id', requestId);
      try {
        callback(null, answer(read(method, call.request)), trailers);
      } catch (thrown) {
        const error = asInterleaveError(thrown);
        if (error.code === 'internal') this.logger.error({ err: error.cause ?? error, requestId, method: method.path }, 'request failed');
        callback(errorStatus(error, trailers));
      }
    };
  }
}

function read(method: Method, bytes: Buffer): unknown {
  try {
    return method.requestDeserialize(bytes);
  } catch (error) {
    throw new InterleaveError('invalid_request', `expected the request message of ${method.path} but it cannot be read`, { cause: error });
  }
}
