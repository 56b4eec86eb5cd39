import { InterleaveError } from '@app/contracts';
import type { WireMessage } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import type {
  Metadata,
  MethodDefinition,
  sendUnaryData,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { Inject, Injectable } from '@nestjs/common';
import { Access } from '../access/access';
import { ANONYMOUS, type Caller } from '../access/caller';
import { asInterleaveError } from '../http/error-answer';
import { logFailure } from '../http/log-failure';
import { LOGGER } from '../tokens';
import { answerMetadata, callerOfMetadata, requestIdOf } from './call-metadata';
import { healthService, inferenceService, withRawRequests } from './definitions';
import { endWithKey } from './end-with-key';
import { GrpcHealth, type Watcher } from './health';
import type { HeldMemory } from './held-memory';
import { InferenceCalls } from './inference-calls';
import { InfoCalls } from './info-calls';
import { errorStatus } from './status';

type Method = MethodDefinition<unknown, unknown>;
type OpenCall = Pick<ServerUnaryCall<Buffer, unknown>, 'metadata' | 'cancelled'>;
type UnaryHandler = (call: ServerUnaryCall<Buffer, unknown>, callback: sendUnaryData<unknown>) => void;

/** As `/v2/health/live` and `/v2/health/ready`, and `Check` of `grpc.health.v1`: load balancers have no key. */
const OPEN_CALLS: ReadonlySet<string> = new Set(['ServerLive', 'ServerReady']);

/** Whether a request for health names a model: the empty message asks for the server as a whole. */
const isNamed = (request: Buffer): boolean => request.length > 0;

/** Who handles which call. */
@Injectable()
export class Handlers {
  constructor(
    private readonly inference: InferenceCalls,
    private readonly info: InfoCalls,
    private readonly health: GrpcHealth,
    private readonly access: Access,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  addTo(server: Server, memory: HeldMemory): void {
    const service = inferenceService();
    const unary = Object.entries(service).map(([name, method]): [string, UnaryHandler] => [
      name,
      this.unary(
        method as Method,
        (request, caller, metadata) => this.info.answer(name, request, caller, metadata),
        () => !OPEN_CALLS.has(name),
      ),
    ]);
    server.addService(withRawRequests(service), {
      ...Object.fromEntries(unary),
      ModelInfer: (call: ServerUnaryCall<Buffer, WireMessage>, callback: sendUnaryData<WireMessage>) =>
        this.admit(
          call,
          (caller) => this.inference.infer(caller, call, callback),
          (error) => callback(errorStatus(error, answerMetadata(requestIdOf(call.metadata)))),
        ),
      ModelStreamInfer: (call: ServerDuplexStream<Buffer, WireMessage>) =>
        this.admit(
          call,
          () => {
            endWithKey(call, this.access);
            this.inference.stream(
              () => callerOfMetadata(call.metadata, this.access),
              call,
              (message) => memory.release(call.metadata, message),
            );
          },
          (error) => call.emit('error', errorStatus(error, answerMetadata(requestIdOf(call.metadata)))),
        ),
    });
    this.addHealth(server);
  }

  private addHealth(server: Server): void {
    const service = healthService();
    const { Check, List, Watch } = service as Record<string, Method>;
    const serviceOf = (method: Method | undefined, bytes: Buffer): string => (read(method as Method, bytes) as { service: string }).service;
    server.addService(withRawRequests(service), {
      Check: this.unary(
        Check as Method,
        (request, { models }) => this.health.check((request as { service: string }).service, models),
        isNamed,
      ),
      List: this.unary(
        List as Method,
        (_request, { models }) => this.health.list(models),
        () => true,
      ),
      Watch: (call: ServerWritableStream<Buffer, unknown>) => {
        const refuse = (error: InterleaveError): void =>
          void call.emit('error', errorStatus(error, answerMetadata(requestIdOf(call.metadata))));
        const watch = ({ models }: Caller): void => {
          try {
            this.health.watch(call as Watcher, serviceOf(Watch, call.request), models);
          } catch (error) {
            refuse(asInterleaveError(error));
          }
        };
        if (!isNamed(call.request)) return watch(ANONYMOUS);
        this.admit(
          call,
          (caller) => {
            endWithKey(call, this.access);
            watch(caller);
          },
          refuse,
        );
      },
    });
  }

  /** A call with one small answer. Anybody may make one that `needsKey` says no to. */
  private unary(
    method: Method,
    answer: (request: unknown, caller: Caller, metadata: Metadata) => object | Promise<object>,
    needsKey: (request: Buffer) => boolean,
  ): UnaryHandler {
    return (call, callback) => {
      const requestId = requestIdOf(call.metadata);
      const trailers = answerMetadata(requestId);
      const refuse = (error: InterleaveError): void => {
        logFailure(this.logger, error, { requestId, trace: null, method: method.path });
        callback(errorStatus(error, trailers));
      };
      const send = (message: object): void => callback(null, message, trailers);
      const tell = (caller: Caller): void => {
        try {
          const answered = answer(read(method, call.request), caller, call.metadata);
          if (answered instanceof Promise) answered.then(send, (thrown: unknown) => refuse(asInterleaveError(thrown)));
          else send(answered);
        } catch (thrown) {
          refuse(asInterleaveError(thrown));
        }
      };
      if (needsKey(call.request)) this.admit(call, tell, refuse);
      else tell(ANONYMOUS);
    };
  }

  /** Lets the caller in, or refuses it: at once, but for tokens that were not seen before. Who leaves meanwhile does not enter. */
  private admit(call: OpenCall, enter: (caller: Caller) => void, refuse: (error: InterleaveError) => void): void {
    const turnAway = (thrown: unknown): void => refuse(asInterleaveError(thrown));
    let caller: Caller | Promise<Caller>;
    try {
      caller = callerOfMetadata(call.metadata, this.access);
    } catch (thrown) {
      return turnAway(thrown);
    }
    if (caller instanceof Promise) caller.then((known) => call.cancelled || enter(known), turnAway);
    else enter(caller);
  }
}

function read(method: Method, bytes: Buffer): unknown {
  try {
    return method.requestDeserialize(bytes);
  } catch (error) {
    throw new InterleaveError('invalid_request', `expected the request message of ${method.path} but it cannot be read`, { cause: error });
  }
}
