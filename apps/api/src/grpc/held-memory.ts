import type { ServerHttp2Stream } from 'node:http2';
import { createGunzip, createInflate } from 'node:zlib';
import { InterleaveError } from '@app/contracts';
import { status, type Metadata, type ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import type { BodyReader } from '../http/body-reader';
import { joinSmallParts } from '../http/small-parts';
import { INFER_PATHS } from './definitions';
import { errorStatus } from './status';

/** A message that has begun must have come by then, as the body of a live request by HTTP. */
const READ_MS_MAX = 120_000;
/** Of a call that carries no tensors; of a stream, all of it together. */
const SMALL_CALL_BYTES_MAX = 256 * 1024;
/** `ReadState.NO_DATA` of grpc-js. */
const BETWEEN_MESSAGES = 0;
/** Before each message on the wire. */
const PREFIX_BYTES = 5;

/** What is used here of a call of grpc-js 1.14 beside its public face; its own limits are for one message at a time. */
interface InnerCall extends ServerInterceptingCall {
  stream: ServerHttp2Stream;
  metadata: Metadata;
  decoder: { readState: number; readPartialMessage: Buffer[] };
  decompressMessage(message: Buffer, encoding: string): Buffer | Promise<Buffer>;
}

type Ended = Parameters<ServerInterceptingCall['sendStatus']>[0];

/** Why a call of grpc-js ends. */
interface Refusal {
  code: status;
  details: string;
}

/**
 * Counts the bytes of calls, as they came and as they are unpacked, against the memory that bodies of HTTP have; a call
 * that finds no room ends with RESOURCE_EXHAUSTED.
 */
export class HeldMemory {
  private readonly calls = new WeakMap<Metadata, HeldCall>();

  constructor(
    private readonly bodies: BodyReader,
    private readonly messageBytesMax: number,
    private readonly readMsMax = READ_MS_MAX,
  ) {}

  readonly interceptor: ServerInterceptor = ({ path, requestStream }, outer) => {
    const call = outer as InnerCall;
    const held = new HeldCall(this.bodies, INFER_PATHS.has(path) ? Infinity : SMALL_CALL_BYTES_MAX);
    this.calls.set(call.metadata, held);
    const { stream } = call;
    const refuse = (refusal: InterleaveError): void => {
      call.sendStatus(errorStatus(refusal));
      stream.resume();
    };
    stream.on('data', (part: Buffer) => {
      joinSmallParts(call.decoder.readPartialMessage);
      const refusal = held.add(part.length);
      if (refusal !== null) refuse(refusal);
    });
    stream.once('close', () => held.close());
    boundReading(call, { isStream: requestStream, readMsMax: this.readMsMax, refuse });
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (ended) => sendStatus(blameCaller(ended));
    call.decompressMessage = (message, encoding) => unpack(message, encoding, held, this.messageBytesMax);
    return call;
  };

  /** A message of a call was answered. */
  release(metadata: Metadata, message: Buffer): void {
    this.calls.get(metadata)?.free(message.length + PREFIX_BYTES);
  }
}

/** A call without streaming must have sent all of its message in time; on a stream, each message that has begun. */
function boundReading(
  { stream, decoder }: InnerCall,
  { isStream, readMsMax, refuse }: { isStream: boolean; readMsMax: number; refuse: (refusal: InterleaveError) => void },
): void {
  const late = (): void => {
    // A stream that waits for its answers to leave is not read meanwhile.
    if (isStream && stream.isPaused()) timer?.refresh();
    else refuse(new InterleaveError('request_timeout', `The message did not arrive within ${readMsMax} ms`));
  };
  let timer = isStream ? null : setTimeout(late, readMsMax).unref();
  const stop = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
  };
  if (isStream)
    stream.on('data', () => {
      if (decoder.readState === BETWEEN_MESSAGES) stop();
      else timer ??= setTimeout(late, readMsMax).unref();
    });
  stream.once('end', stop).once('close', stop);
}

/** A deadline that cannot be read is no fault of this server, as grpc-js has it. */
function blameCaller(ended: Ended): Ended {
  const isCallers = ended.code === status.INTERNAL && ended.details?.startsWith('Invalid grpc-timeout') === true;
  return isCallers ? { ...ended, code: status.INVALID_ARGUMENT } : ended;
}

/** What one call holds. */
class HeldCall {
  private bytes = 0;
  private isClosed = false;

  constructor(
    private readonly bodies: BodyReader,
    private readonly bytesMax: number,
  ) {}

  /** Null: there is room. */
  add(bytes: number): InterleaveError | null {
    if (this.isClosed) return null;
    this.bytes += bytes;
    const refusal = this.bodies.holdOther(bytes);
    if (refusal !== null || this.bytes <= this.bytesMax) return refusal;
    return new InterleaveError('too_large', `The call is over the limit of ${this.bytesMax} bytes; only calls with tensors may be larger`);
  }

  free(bytes: number): void {
    const held = Math.min(bytes, this.bytes);
    this.bytes -= held;
    this.bodies.releaseOther(held);
  }

  close(): void {
    this.free(this.bytes);
    this.isClosed = true;
  }
}

/** `message` with its prefix. As in grpc-js, whose own count begins anew with each message. */
function unpack(message: Buffer, encoding: string, held: HeldCall, bytesMax: number): Buffer | Promise<Buffer> {
  const packed = message.subarray(PREFIX_BYTES);
  const isPacked = message[0] === 1;
  if (!isPacked || encoding === 'identity') return packed;
  if (encoding !== 'gzip' && encoding !== 'deflate')
    return refused(status.UNIMPLEMENTED, `expected gzip, deflate or identity for grpc-encoding but received another one`);
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    const unpacker = encoding === 'gzip' ? createGunzip() : createInflate();
    const fail = (refusal: Refusal): void => {
      unpacker.destroy();
      reject(refusal as unknown as Error);
    };
    unpacker.on('data', (part: Buffer) => {
      parts.push(part);
      bytes += part.length;
      if (bytes > bytesMax) return fail(tooLargeUnpacked(bytesMax));
      const refusal = held.add(part.length);
      if (refusal !== null) fail(errorStatus(refusal));
    });
    unpacker.on('error', () =>
      fail({ code: status.INVALID_ARGUMENT, details: `expected a message packed with ${encoding} but it is none` }),
    );
    unpacker.on('end', () => {
      held.free(packed.length);
      resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
    });
    unpacker.end(packed);
  });
}

function tooLargeUnpacked(bytesMax: number): Refusal {
  return {
    code: status.RESOURCE_EXHAUSTED,
    details: `The message unpacks to more than the limit of ${bytesMax} bytes (http.bodyBytesMax)`,
  };
}

function refused(code: status, details: string): Promise<never> {
  const refusal: Refusal = { code, details };
  return Promise.reject(refusal as unknown as Error);
}
