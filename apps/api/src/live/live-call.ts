import type { ErrorCode, Lane } from '@app/contracts';
import type { ServiceTier } from '@app/protocols';
import { ANONYMOUS, type Caller } from '../access/caller';
import type { RequestTrace } from '../tracing/request-trace';
import { NO_OPTIONS, type CallerOptions } from './caller-options';
import { HangUp } from './hang-up';
import type { LiveTiming } from './live-timing';

/** Endpoint label of a live route in metrics. */
export type LiveEndpoint = 'predict' | 'infer' | 'embeddings' | 'rerank' | 'classify' | 'tokenize' | 'detokenize';
/** The same of live calls over gRPC. */
export type GrpcEndpoint = 'grpc_infer' | 'grpc_stream_infer';

/** What is remembered of a live request from accept to respond, over whatever protocol it came. */
export interface LiveCall {
  readonly endpoint: LiveEndpoint | GrpcEndpoint;
  readonly caller: Caller;
  /** Nothing asked for until the headers have been read. */
  options: CallerOptions;
  /** Longest time for its answer, whatever is asked for elsewhere: a deadline of the transport. */
  timeoutMsMax: number;
  /** On the clock of `performance.now()`, as all moments here. */
  readonly arrivedMs: number;
  /** When its body began to be parsed; equal to `arrivedMs` until then. */
  admittedMs: number;
  /** Empty until the model is known to exist, so that callers cannot invent metric labels. */
  model: string;
  /** Where it runs. */
  lane: Lane;
  /** As asked for, once it is known; `default` where nothing was said. */
  tier: ServiceTier;
  /** Code of the error that was answered; null when none was. */
  errorCode: ErrorCode | null;
  /** Told when the connection closes. */
  readonly hangUp: HangUp;
  /** Null until it was answered. */
  timing: LiveTiming | null;
  /** The stages that it came to, where it ended with an error; null: it did not, or came to none. */
  failedTiming: LiveTiming | null;
  /** Null: it is not traced. */
  readonly trace: RequestTrace | null;
  /** Of the trace, where it is kept. */
  readonly traceId: string | null;
  /** `x-request-id`. */
  readonly requestId: string;
  /** What is said about the answer beside its body, by lower-case name: headers in HTTP, metadata in gRPC. */
  readonly notes: Record<string, string>;
  /** Of this call only. */
  readonly randomKey: string;
}

/**
 * Whose a request is, where versions are shared out between callers: the user that it names, else the tenant of its key, else
 * nobody's: then each goes its own way. `user`: as its body says; a header goes before it.
 */
export function routeKeyOf({ caller, options, randomKey }: LiveCall, user: string | null): string {
  const named = options.user ?? user;
  if (named !== null) return `${caller.tenant}\n${named}`;
  return caller === ANONYMOUS ? randomKey : caller.tenant;
}

/** One that has just come. */
export function newCall(
  endpoint: LiveEndpoint | GrpcEndpoint,
  caller: Caller,
  { requestId, trace }: Pick<LiveCall, 'requestId' | 'trace'>,
): LiveCall {
  const arrivedMs = performance.now();
  return {
    endpoint,
    caller,
    options: NO_OPTIONS,
    timeoutMsMax: Infinity,
    arrivedMs,
    admittedMs: arrivedMs,
    model: '',
    lane: 'realtime',
    tier: 'default',
    errorCode: null,
    hangUp: new HangUp(),
    timing: null,
    failedTiming: null,
    trace,
    traceId: trace?.traceId ?? null,
    requestId,
    notes: {},
    randomKey: String(Math.random()),
  };
}
