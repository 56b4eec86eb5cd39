import { randomUUID } from 'node:crypto';
import type { TraceCarrier } from '@app/contracts';
import { Metadata } from '@grpc/grpc-js';
import type { Access } from '../access/access';
import type { Caller } from '../access/caller';
import { callerOptions, TIER_HEADER, USER_HEADER, type CallerOptions } from '../live/caller-options';
import { newCall, type GrpcEndpoint, type LiveCall } from '../live/live-call';

const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;
const OPTION_NAMES = ['x-interleave-timeout-ms', 'x-interleave-priority', 'x-interleave-degrade', TIER_HEADER, USER_HEADER];

/** Who sends a call. Throws, or rejects with, what `Access.callerOf` does. */
export function callerOfMetadata(metadata: Metadata, access: Access): Caller | Promise<Caller> {
  return access.callerOf({ authorization: textOf(metadata, 'authorization'), apiKey: textOf(metadata, 'x-api-key') });
}

/** Throws for an option that is none. */
export function optionsOfMetadata(metadata: Metadata): CallerOptions {
  return callerOptions(Object.fromEntries(OPTION_NAMES.map((name) => [name, textOf(metadata, name)])));
}

export function requestIdOf(metadata: Metadata): string {
  const given = textOf(metadata, 'x-request-id');
  return given !== undefined && REQUEST_ID.test(given) ? given : `req_${randomUUID()}`;
}

/** What leaves with every answer, errors too. */
export function answerMetadata(requestId: string): Metadata {
  const metadata = new Metadata();
  metadata.set('x-request-id', requestId);
  return metadata;
}

/** Null: the caller sent none. */
export function carrierOfMetadata(metadata: Metadata): TraceCarrier | null {
  const traceparent = textOf(metadata, 'traceparent');
  const tracestate = textOf(metadata, 'tracestate');
  return traceparent === undefined ? null : { traceparent, ...(tracestate !== undefined && { tracestate }) };
}

/** What the handlers of every kind of call know of it. */
interface IncomingCall {
  metadata: Metadata;
  /** `grpc-timeout` as a moment of `Date.now()`; infinite without one. */
  getDeadline(): Date | number;
}

export function liveCallOf(
  endpoint: GrpcEndpoint,
  call: IncomingCall,
  caller: Caller,
  ids: Pick<LiveCall, 'requestId' | 'trace'>,
): LiveCall {
  const live = newCall(endpoint, caller, ids);
  live.timeoutMsMax = Math.max(0, Number(call.getDeadline()) - Date.now());
  return live;
}

export function isPastDeadline(call: IncomingCall): boolean {
  return Number(call.getDeadline()) <= Date.now();
}

/** As HTTP joins headers that come several times. */
export function textOf(metadata: Metadata, name: string): string | undefined {
  const values = metadata.get(name);
  return values.length === 0 ? undefined : values.join(', ');
}
