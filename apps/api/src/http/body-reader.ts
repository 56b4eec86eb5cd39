import { Readable } from 'node:stream';
import { InterleaveError } from '@app/contracts';
import { overloaded } from '@app/worker-pool';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ContentEncoding } from './content-encoding';
import { isJson } from './media-type';
import { joinSmallParts } from './small-parts';
import { unpack } from './unpack';

declare module 'fastify' {
  interface FastifyInstance {
    /** The memory for bodies, of all protocols. */
    bodies: BodyReader;
  }
  interface FastifyRequest {
    /** Bytes of this request's body that count against the memory for bodies; given back after the response. */
    heldBodyBytes: number;
    /** The whole body, unpacked; empty without one. Once per request. Rejects as `BodyReader`, and with `unsupported_media_type`. */
    readBody(reply: FastifyReply): Promise<Buffer>;
    /** Counts what a request holds beside its body, in the same way. Throws `overloaded`, and `client_closed` once the caller has gone. */
    holdBytes(bytes: number): void;
  }
}

export interface BodyLimits {
  /** Largest body. */
  bodyBytesMax: number;
  /** Largest body that is nothing but JSON: parsing costs far more than reading. */
  jsonBytesMax: number;
  /** All bodies that are held at one moment. */
  heldBytesMax: number;
  /** From the first header to the last byte of a body. */
  readMsMax: number;
}

/**
 * Reads whole bodies, as the bytes that came: the protocols parse JSON themselves, once. A body counts against
 * `heldBytesMax` with what has arrived of it, until `release`.
 */
export class BodyReader {
  private heldBytes = 0;

  constructor(private readonly limits: BodyLimits) {}

  /**
   * `callForBody`: called once the announced length is found to be acceptable. Rejects with `too_large`, `overloaded` (no
   * memory for bodies), `request_timeout` or `invalid_request` (cut short).
   */
  read(request: FastifyRequest, payload: Readable, callForBody = (): void => undefined): Promise<Buffer> {
    const announcedBytes = Number(request.headers['content-length'] ?? 0);
    const refusal = this.refusal(request, announcedBytes, this.heldBytes + announcedBytes);
    if (refusal) return Promise.reject(refusal);
    callForBody();
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      const finish = (error: InterleaveError | null) => {
        clearTimeout(timer);
        payload.off('data', onData).off('end', onEnd).off('error', onError).off('close', onError);
        if (error) {
          this.release(request);
          reject(error);
          return;
        }
        resolve(parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts));
      };
      const onData = (part: Buffer) => {
        parts.push(part);
        joinSmallParts(parts);
        bytes += part.byteLength;
        const refusal = this.hold(request, part.byteLength, bytes);
        if (refusal) finish(refusal);
      };
      const onEnd = () => finish(null);
      const onError = () => finish(new InterleaveError('invalid_request', 'The body ended before its announced length'));
      const onLate = () => finish(new InterleaveError('request_timeout', `The body did not arrive within ${this.limits.readMsMax} ms`));
      const timer = hasArrived(payload) ? undefined : setTimeout(onLate, this.limits.readMsMax);
      payload.on('data', onData).on('end', onEnd).on('error', onError).on('close', onError);
    });
  }

  /**
   * What a body that was read unpacks to; from now on that counts, against the same limits. `isGone`: the response is
   * closed, and with it what is held. Rejects as `unpack` and `read`, and with `client_closed`.
   */
  async unpack(request: FastifyRequest, packed: Buffer, encoding: ContentEncoding, isGone: () => boolean): Promise<Buffer> {
    let bytes = 0;
    const hold = (partBytes: number): InterleaveError | null => {
      if (isGone()) return new InterleaveError('client_closed', 'The caller hung up');
      bytes += partBytes;
      return this.hold(request, partBytes, bytes);
    };
    try {
      const unpacked = await unpack(packed, encoding, hold);
      if (!isGone()) this.hold(request, -packed.byteLength, bytes);
      return unpacked;
    } catch (error) {
      this.release(request);
      throw error;
    }
  }

  /** What a request holds beside its body; returns why it must not. */
  holdMore(request: FastifyRequest, bytes: number): InterleaveError | null {
    return this.hold(request, bytes, 0);
  }

  release(request: FastifyRequest): void {
    this.heldBytes -= request.heldBodyBytes;
    request.heldBodyBytes = 0;
  }

  /** Memory for requests that do not come by HTTP: counts `bytes`, whatever it says; null: there is room. */
  holdOther(bytes: number): InterleaveError | null {
    this.heldBytes += bytes;
    return this.noRoom(this.heldBytes);
  }

  releaseOther(bytes: number): void {
    this.heldBytes -= bytes;
  }

  /** `bodyBytes`: of the body so far. */
  private hold(request: FastifyRequest, bytes: number, bodyBytes: number): InterleaveError | null {
    request.heldBodyBytes += bytes;
    this.heldBytes += bytes;
    return this.refusal(request, bodyBytes, this.heldBytes);
  }

  private refusal({ headers }: FastifyRequest, bodyBytes: number, heldBytes: number): InterleaveError | null {
    const { bodyBytesMax, jsonBytesMax } = this.limits;
    if (bodyBytes > bodyBytesMax) return tooLarge(bodyBytesMax, 'http.bodyBytesMax');
    if (bodyBytes > jsonBytesMax && isJson(headers)) return tooLarge(jsonBytesMax, 'http.jsonBytesMax, for JSON');
    return this.noRoom(heldBytes);
  }

  private noRoom(heldBytes: number): InterleaveError | null {
    return heldBytes <= this.limits.heldBytesMax ? null : overloaded('Too many large requests at once', 0);
  }
}

/** Most bodies come in one piece with their headers. One that was destroyed, as its sender went away, says nothing any more. */
const hasArrived = (payload: Readable & { complete?: boolean }): boolean => payload.complete === true && !payload.destroyed;

function tooLarge(bytesMax: number, key: string): InterleaveError {
  return new InterleaveError(
    'too_large',
    `The body is over the limit of ${bytesMax} bytes (${key}); send fewer items per request, tensors as binary data, or a batch file`,
  );
}
