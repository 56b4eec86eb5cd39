import { availableParallelism } from 'node:os';
import type { Config } from '@app/config';
import { InterleaveError, type InferenceBackend, type ItemResult } from '@app/contracts';
import { unknownModel } from '@app/models';
import { allSucceeded, runItems, type PreparedRequest, type ResponseBody } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { Turns } from '../admission/turns';
import { TenantShares } from '../shares/tenant-shares';
import { BACKEND, CONFIG } from '../tokens';
import type { LiveCall } from './live-call';
import { isSmall, LiveGate, type UnpreparedBody } from './live-gate';
import { liveTiming, serverTiming } from './live-timing';

/** A body that is in memory. */
export interface ReadBody extends UnpreparedBody {
  /** Bytes that are held until the answer is sent. */
  heldBytes: number;
  /** Parses, checks and tokenizes it. */
  prepare(): Promise<PreparedRequest>;
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
    private readonly shares: TenantShares,
  ) {}

  /**
   * The answer; what is said about it beside its body is added to `call.notes`. Rejects with what the caller is told
   * instead. Its items are given up when the caller hangs up.
   */
  async answer(call: LiveCall, body: ReadBody): Promise<ResponseBody> {
    const bodyReadMs = performance.now();
    const { arrivedMs } = call;
    const prepared = await this.prepare(call, body);
    // Whatever protocol it came by: nobody runs a model that is not there for them.
    if (call.caller.models?.includes(prepared.model) === false) throw unknownModel(prepared.model);
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

  private async prepare(call: LiveCall, body: ReadBody): Promise<PreparedRequest> {
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

  private async run(prepared: PreparedRequest, call: LiveCall, heldBytes: number, spentMs: number): Promise<ItemResult[]> {
    const { options, hangUp, caller } = call;
    const timeoutMs = (options.timeoutMs ?? prepared.timeoutMs ?? this.config.realtime.timeoutMs) - spentMs;
    if (timeoutMs <= 0)
      throw new InterleaveError('deadline_exceeded', 'Deadline exceeded before the request was queued; allow more time, or try again');
    const charge = this.shares.take(call, prepared);
    const results = await runItems(this.backend, prepared, {
      timeoutMs,
      priority: options.priority ?? prepared.priority,
      signal: hangUp,
      bodyBytes: heldBytes,
      share: caller,
      onRan: charge.ran,
    }).finally(charge.end);
    return allSucceeded(results);
  }
}
