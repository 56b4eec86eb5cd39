import type { WireMessage } from '@app/protocols';
import { status, type ServerDuplexStream } from '@grpc/grpc-js';
import type { LiveCall } from '../live/live-call';
import { liveCallOf } from './call-metadata';

/** Requests of one stream that are answered at one time; further ones wait in the caller. */
const IN_FLIGHT_MAX = 64;

/** Many requests on one stream: each is answered when it is done, whatever comes before it. */
export class InferStream {
  private readonly inFlight = new Set<LiveCall>();
  /** What waits for answers to leave. */
  private readonly sending = new Set<() => void>();
  private isDraining = false;
  private hasEnded = false;

  constructor(
    private readonly call: ServerDuplexStream<Buffer, WireMessage>,
    /** Never rejects. */
    private readonly answer: (bytes: Buffer, live: LiveCall) => Promise<WireMessage>,
    private readonly release: (bytes: Buffer) => void,
  ) {
    call.on('data', (bytes: Buffer) => void this.take(bytes));
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

  private async take(bytes: Buffer): Promise<void> {
    const live = liveCallOf('grpc_stream_infer', this.call);
    this.inFlight.add(live);
    if (this.inFlight.size >= IN_FLIGHT_MAX) this.call.pause();
    const message = await this.answer(bytes, live);
    if (!this.call.cancelled) await this.send(message);
    this.release(bytes);
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
