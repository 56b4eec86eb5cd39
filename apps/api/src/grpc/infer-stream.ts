import type { WireMessage } from '@app/protocols';
import { status, type ServerDuplexStream } from '@grpc/grpc-js';
import type { Caller } from '../access/caller';
import { asInterleaveError } from '../http/error-answer';
import type { LiveCall } from '../live/live-call';
import { errorStatus } from './status';

/** Requests of one stream that are answered at one time; further ones wait in the caller. */
const IN_FLIGHT_MAX = 64;

/** What a stream needs to answer its requests. */
interface StreamOwner {
  /** Who sends a request that has just come; throws or rejects. */
  callerNow(): Caller | Promise<Caller>;
  /** For a request that has just come. */
  begin(caller: Caller): LiveCall;
  /** Never rejects. */
  answer(bytes: Buffer, live: LiveCall): Promise<WireMessage>;
  release(bytes: Buffer): void;
}

/** Many requests on one stream: each is answered when it is done, whatever comes before it. */
export class InferStream {
  private readonly inFlight = new Set<LiveCall>();
  /** What waits for answers to leave. */
  private readonly sending = new Set<() => void>();
  private isDraining = false;
  private hasEnded = false;

  constructor(
    private readonly call: ServerDuplexStream<Buffer, WireMessage>,
    private readonly owner: StreamOwner,
  ) {
    call.on('data', (bytes: Buffer) => this.take(bytes));
    call.once('end', () => {
      this.hasEnded = true;
      this.endWhenDone();
    });
    call.once('cancelled', () => {
      for (const live of this.inFlight) live.hangUp.abort();
      for (const sent of this.sending) sent();
    });
  }

  drain(): void {
    this.isDraining = true;
    this.call.pause();
    this.endWhenDone();
  }

  private take(bytes: Buffer): void {
    const refuse = (error: unknown): void => {
      this.owner.release(bytes);
      this.call.emit('error', errorStatus(asInterleaveError(error)));
    };
    try {
      const caller = this.owner.callerNow();
      if (caller instanceof Promise) caller.then((known) => this.takeFrom(known, bytes), refuse);
      else void this.takeFrom(caller, bytes);
    } catch (error) {
      refuse(error);
    }
  }

  private async takeFrom(caller: Caller, bytes: Buffer): Promise<void> {
    const live = this.owner.begin(caller);
    this.inFlight.add(live);
    if (this.inFlight.size >= IN_FLIGHT_MAX) this.call.pause();
    const message = await this.owner.answer(bytes, live);
    if (!this.call.cancelled) await this.send(message);
    this.owner.release(bytes);
    this.inFlight.delete(live);
    if (!this.isDraining && this.inFlight.size < IN_FLIGHT_MAX) this.call.resume();
    this.endWhenDone();
  }

  /** Resolves when the caller's side has room: one that does not read gets no further requests in. */
  private send(message: WireMessage): Promise<void> {
    return new Promise((resolve) => {
      const sent = (): void => {
        this.sending.delete(sent);
        resolve();
      };
      this.sending.add(sent);
      this.call.write(message, sent);
    });
  }

  private endWhenDone(): void {
    if (this.inFlight.size > 0 || this.call.cancelled) return;
    if (this.hasEnded) this.call.end();
    else if (this.isDraining) this.call.emit('error', { code: status.UNAVAILABLE, details: 'This server is shutting down; try again' });
  }
}
