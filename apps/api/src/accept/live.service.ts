import type { Config } from '@app/config';
import { InterleaveError, type InferenceBackend, type ItemResult } from '@app/contracts';
import type { PreparedRequest, ResponseBody } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Admission } from '../admission/admission';
import { BACKEND, CONFIG } from '../parts';
import { callerOptions } from './caller-options';
import { liveTiming, serverTiming } from './live-timing';

/** The live path after accept: tokenize, admit, enqueue (the worker coalesces and runs), respond. Never touches Redis. */
@Injectable()
export class LiveService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    private readonly admission: Admission,
  ) {}

  /**
   * Answers one request with what `prepare` made of its body, or throws what the error filter answers. Its items are
   * given up when the caller hangs up.
   */
  async answer(request: FastifyRequest, reply: FastifyReply, prepare: () => Promise<PreparedRequest>): Promise<void> {
    const bodyReadMs = performance.now();
    const arrivedMs = request.live?.arrivedMs ?? bodyReadMs;
    const prepared = await prepare();
    if (request.live) request.live.model = prepared.model;
    const preparedMs = performance.now();
    const results = await this.run(prepared, request, reply, preparedMs - arrivedMs);
    const answeredMs = performance.now();
    const body = prepared.respond(results);
    const timing = liveTiming({ arrivedMs, bodyReadMs, preparedMs, answeredMs, respondedMs: performance.now() }, results);
    // Counted after the answer has left: see live-hooks.
    if (request.live) request.live.timing = timing;
    reply.header('server-timing', serverTiming(timing));
    send(reply, body);
  }

  private async run(prepared: PreparedRequest, request: FastifyRequest, reply: FastifyReply, spentMs: number): Promise<ItemResult[]> {
    const options = callerOptions(request.headers);
    const timeoutMs = (options.timeoutMs ?? prepared.timeoutMs ?? this.config.realtime.timeoutMs) - spentMs;
    if (timeoutMs <= 0) throw new InterleaveError('deadline_exceeded', 'The time for the answer was over before the request could be queued');
    const items = prepared.items.length;
    this.admission.admit(items);
    const hangUp = new AbortController();
    const onClose = () => hangUp.abort();
    reply.raw.once('close', onClose);
    let answered = false;
    try {
      const results = await this.backend.infer({
        model: prepared.model,
        version: prepared.version,
        items: prepared.items,
        timeoutMs,
        priority: options.priority ?? prepared.priority,
        signal: hangUp.signal,
      });
      answered = true;
      return results.map(resultOrThrow);
    } finally {
      reply.raw.off('close', onClose);
      this.admission.release(items, answered);
    }
  }
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
    void reply.header('content-type', 'application/json; charset=utf-8').send(JSON.stringify(response.body));
    return;
  }
  // A Buffer over the same memory: Fastify sends it without a copy.
  void reply.headers(response.headers).send(Buffer.from(response.body.buffer, response.body.byteOffset, response.body.byteLength));
}
