import { availableParallelism } from 'node:os';
import type { Config } from '@app/config';
import { InterleaveError, type InferenceBackend, type ItemResult } from '@app/contracts';
import { allSucceeded, runItems, toJsonText, type Endpoint, type PreparedRequest, type ResponseBody } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Turns } from '../admission/turns';
import { BACKEND, CONFIG } from '../tokens';
import { callerOptions } from './caller-options';
import type { LiveContext, LiveEndpoint } from './live-context';
import { isSmall, LiveGate } from './live-gate';
import { liveTiming, serverTiming } from './live-timing';
import type { ModelPath } from './model-path';
import { Preparer } from './preparer';

const KIND: Record<LiveEndpoint, Endpoint['kind']> = { predict: 'predict', infer: 'open-inference', embeddings: 'embeddings' };

/** The live path after the look at the headers: tokenize, admit, enqueue (the worker coalesces and runs), respond. Never touches Redis. */
@Injectable()
export class LiveService {
  private readonly largeBodies = new Turns(Math.max(2, availableParallelism()));

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    private readonly gate: LiveGate,
    private readonly preparer: Preparer,
  ) {}

  /**
   * Answers one request to a `LiveRoute`, or throws what the error filter answers. Its items are given up when the caller
   * hangs up.
   */
  async answer(request: FastifyRequest<ModelPath>, reply: FastifyReply): Promise<void> {
    const live = liveContext(request);
    const bytes = await request.readBody(reply);
    const bodyReadMs = performance.now();
    const { arrivedMs } = live;
    const prepared = await this.prepare(request, bytes);
    live.model = prepared.model;
    const preparedMs = performance.now();
    const results = await this.run(prepared, request, preparedMs - arrivedMs);
    const answeredMs = performance.now();
    const body = await prepared.respond(results);
    const { admittedMs } = live;
    const timing = liveTiming({ arrivedMs, bodyReadMs, admittedMs, preparedMs, answeredMs, respondedMs: performance.now() }, results);
    // Counted after the answer has left: see live-hooks.
    live.timing = timing;
    reply.header('server-timing', serverTiming(timing));
    send(reply, body);
  }

  private async prepare(request: FastifyRequest<ModelPath>, bytes: Buffer): Promise<PreparedRequest> {
    const live = liveContext(request);
    const preparing = this.gate.enter(request, bytes.length);
    const isLarge = !isSmall(bytes.length);
    let items: number | null = null;
    try {
      if (isLarge) await this.largeBodies.begin();
      if (live.hangUp.aborted) throw new InterleaveError('client_closed', 'The caller hung up');
      live.admittedMs = performance.now();
      const { model = null, version = null } = request.params;
      const prepared = await this.preparer.prepare({ kind: KIND[live.endpoint], model, version }, bytes, request.headers);
      items = prepared.items.length;
      return prepared;
    } finally {
      if (isLarge) this.largeBodies.end();
      this.gate.leave(preparing, items);
    }
  }

  private async run(prepared: PreparedRequest, request: FastifyRequest<ModelPath>, spentMs: number): Promise<ItemResult[]> {
    const options = callerOptions(request.headers);
    const timeoutMs = (options.timeoutMs ?? prepared.timeoutMs ?? this.config.realtime.timeoutMs) - spentMs;
    if (timeoutMs <= 0)
      throw new InterleaveError('deadline_exceeded', 'Deadline exceeded before the request was queued; allow more time, or try again');
    const results = await runItems(this.backend, prepared, {
      timeoutMs,
      priority: options.priority ?? prepared.priority,
      signal: liveContext(request).hangUp,
      bodyBytes: request.heldBodyBytes,
    });
    return allSucceeded(results);
  }
}

function liveContext({ live }: Pick<FastifyRequest, 'live'>): LiveContext {
  if (live === null) throw new Error('expected a route with @LiveRoute');
  return live;
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
