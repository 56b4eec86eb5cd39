import { availableParallelism } from 'node:os';
import type { Config } from '@app/config';
import { InterleaveError, type InferenceBackend, type ItemResult } from '@app/contracts';
import { allSucceeded, runItems, type PreparedRequest, type ResponseBody } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { Turns } from '../admission/turns';
import { BACKEND, CONFIG } from '../tokens';
import type { LiveCall } from './live-call';
import { isSmall, LiveGate, type UnpreparedBody } from './live-gate';
import { liveTiming, serverTiming } from './live-timing';

/** A body that is in memory. */
export interface ReadBody<Answer = ResponseBody> extends UnpreparedBody {
  /** Bytes that are held until the answer is sent. */
  heldBytes: number;
  /** Parses, checks and tokenizes it. */
  prepare(): Promise<PreparedRequest<Answer>>;
}

/**
 * The live path of every protocol, once the body is there: tokenize, admit, enqueue (the worker coalesces and runs),
 * respond. Never touches Redis.
 */
@Injectable()
export class LiveRunner {
  private readonly largeBodies = new Turns(Math.max(2, availableParallelism()));

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    private readonly gate: LiveGate,
  ) {}

  /**
   * The answer; what is said about it beside its body is added to `call.notes`. Rejects with what the caller is told
   * instead. Its items are given up when the caller hangs up.
   */
  async answer<Answer>(call: LiveCall, body: ReadBody<Answer>): Promise<Answer> {
    const bodyReadMs = performance.now();
    const { arrivedMs } = call;
    const prepared = await this.prepare(call, body);
    call.model = prepared.model;
    const preparedMs = performance.now();
    const results = await this.run(prepared, call, body.heldBytes, preparedMs - arrivedMs);
    const answeredMs = performance.now();
    const response = await prepared.respond(results);
    const { admittedMs } = call;
    // Counted after the answer has left.
    call.timing = liveTiming({ arrivedMs, bodyReadMs, admittedMs, preparedMs, answeredMs, respondedMs: performance.now() }, results);
    call.notes['server-timing'] = serverTiming(call.timing);
    return response;
  }

  private async prepare<Answer>(call: LiveCall, body: ReadBody<Answer>): Promise<PreparedRequest<Answer>> {
    const preparing = this.gate.enter(call, body);
    const isLarge = !isSmall(body.bytes);
    let items: number | null = null;
    try {
      if (isLarge) await this.largeBodies.begin();
      if (call.hangUp.aborted) throw new InterleaveError('client_closed', 'The caller hung up');
      call.admittedMs = performance.now();
      const prepared = await body.prepare();
      items = prepared.items.length;
      return prepared;
    } finally {
      if (isLarge) this.largeBodies.end();
      this.gate.leave(preparing, items);
    }
  }

  private async run(
    prepared: Omit<PreparedRequest, 'respond'>,
    { options, timeoutMsMax, hangUp }: LiveCall,
    heldBytes: number,
    spentMs: number,
  ): Promise<ItemResult[]> {
    const timeoutMs = Math.min(options.timeoutMs ?? prepared.timeoutMs ?? this.config.realtime.timeoutMs, timeoutMsMax) - spentMs;
    if (timeoutMs <= 0)
      throw new InterleaveError('deadline_exceeded', 'Deadline exceeded before the request was queued; allow more time, or try again');
    const results = await runItems(this.backend, prepared, {
      timeoutMs,
      priority: options.priority ?? prepared.priority,
      signal: hangUp,
      bodyBytes: heldBytes,
    });
    return allSucceeded(results);
  }
}
