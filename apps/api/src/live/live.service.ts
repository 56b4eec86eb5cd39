import { availableParallelism } from 'node:os';
import type { Config } from '@app/config';
import { InterleaveError, type InferenceBackend, type ItemResult } from '@app/contracts';
import { toJsonText, type PreparedRequest, type ResponseBody } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Turns } from '../admission/turns';
import { BACKEND, CONFIG } from '../parts';
import { callerOptions } from './caller-options';
import type { LiveContext } from './live-context';
import { isSmall, LiveGate } from './live-gate';
import { liveTiming, serverTiming } from './live-timing';

/** The live path after the look at the headers: tokenize, admit, enqueue (the worker coalesces and runs), respond. Never touches Redis. */
@Injectable()
export class LiveService {
  private readonly largeBodies = new Turns(Math.max(2, availableParallelism()));

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    private readonly gate: LiveGate,
  ) {}

  /**
   * Answers one request with what `prepare` made of its body, or throws what the error filter answers. Its items are
   * given up when the caller hangs up.
   */
  async answer(request: FastifyRequest, reply: FastifyReply, prepare: (body: Buffer) => Promise<PreparedRequest>): Promise<void> {
    const live = liveContext(request);
    const bytes = await request.readBody(reply);
    const bodyReadMs = performance.now();
    const { arrivedMs } = live;
    const prepared = await this.prepared(request, bytes, prepare);
    live.model = prepared.model;
    const preparedMs = performance.now();
    const results = await this.run(prepared, request, preparedMs - arrivedMs);
    const answeredMs = performance.now();
    const body = await prepared.respond(results);
    const timing = liveTiming({ arrivedMs, bodyReadMs, preparedMs, answeredMs, respondedMs: performance.now() }, results);
    // Counted after the answer has left: see live-hooks.
    live.timing = timing;
    reply.header('server-timing', serverTiming(timing));
    send(reply, body);
  }

  private async prepared(
    request: FastifyRequest,
    bytes: Buffer,
    prepare: (body: Buffer) => Promise<PreparedRequest>,
  ): Promise<PreparedRequest> {
    const preparing = this.gate.enter(request, bytes.length);
    const isLarge = !isSmall(bytes.length);
    let items: number | null = null;
    try {
      if (isLarge) await this.largeBodies.begin();
      if (liveContext(request).hangUp.aborted) throw new InterleaveError('client_closed', 'The caller hung up');
      const prepared = await prepare(bytes);
      items = prepared.items.length;
      return prepared;
    } finally {
      if (isLarge) this.largeBodies.end();
      this.gate.leave(preparing, items);
    }
  }

  private async run(prepared: PreparedRequest, request: FastifyRequest, spentMs: number): Promise<ItemResult[]> {
    const options = callerOptions(request.headers);
    const timeoutMs = (options.timeoutMs ?? prepared.timeoutMs ?? this.config.realtime.timeoutMs) - spentMs;
    if (timeoutMs <= 0)
      throw new InterleaveError('deadline_exceeded', 'Deadline exceeded before the request was queued; allow more time, or try again');
    const results = await this.backend.infer({
      model: prepared.model,
      version: prepared.version,
      items: prepared.items,
      timeoutMs,
      priority: options.priority ?? prepared.priority,
      signal: liveContext(request).hangUp,
      bodyBytes: request.heldBodyBytes,
    });
    return results.map(resultOrThrow);
  }
}

function liveContext({ live }: FastifyRequest): LiveContext {
  if (live === null) throw new Error('this route lacks its live setting');
  return live;
}

/** A live request is answered as a whole: the first item that failed fails it. */
function resultOrThrow(result: ItemResult | InterleaveError): ItemResult {
  if (result instanceof InterleaveError) throw result;
  return result;
}

function send(reply: FastifyReply, response: ResponseBody): void {
  // Nest presets 201 for every POST.
  reply.code(200);
  if (response.kind === 'json') {
    void reply.header('content-type', 'application/json; charset=utf-8').send(toJsonText(response.body));
    return;
  }
  // A Buffer over the same memory: Fastify sends it without a copy.
  void reply.headers(response.headers).send(Buffer.from(response.body.buffer, response.body.byteOffset, response.body.byteLength));
}
