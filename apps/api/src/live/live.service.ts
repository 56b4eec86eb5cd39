import { visibleModels } from '@app/models';
import { toJsonText, type Endpoint, type ResponseBody } from '@app/protocols';
import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SharedMemoryService } from '../shared-memory/shared-memory.service';
import { TIER_HEADER } from './caller-options';
import type { LiveCall, LiveEndpoint } from './live-call';
import { unprepared } from './live-hooks';
import { LiveRunner } from './live-runner';
import type { ModelPath } from './model-path';
import { Preparer } from './preparer';

const kindOf = (endpoint: LiveEndpoint): Endpoint['kind'] => (endpoint === 'infer' ? 'open-inference' : endpoint);

/** Live requests over HTTP: reads the body, sends the answer. */
@Injectable()
export class LiveService {
  constructor(
    private readonly runner: LiveRunner,
    private readonly preparer: Preparer,
    private readonly memory: SharedMemoryService,
  ) {}

  /** Answers one request to a `LiveRoute`, or throws what the error filter answers. */
  async answer(request: FastifyRequest<ModelPath>, reply: FastifyReply): Promise<void> {
    const live = liveCall(request);
    const bytes = await request.readBody(reply);
    const { model = null, version = null } = request.params;
    const endpoint = { kind: kindOf(live.endpoint as LiveEndpoint), model, version };
    const sharedMemory = this.memory.of(request);
    const asked = unprepared(request, live, bytes.length);
    // Field by field: V8 makes a new hidden class each time for an object that begins with a spread and goes on.
    const body = await this.runner.answer(live, {
      model: asked.model,
      version: asked.version,
      kind: asked.kind,
      bytes: asked.bytes,
      heldBytes: request.heldBodyBytes,
      prepare: (all) => {
        const catalog = visibleModels(all, live.caller.models);
        return this.preparer.prepare(endpoint, bytes, request.headers, { catalog, sharedMemory });
      },
      isRepeatable: () => !sharedMemory.isUsed(),
    });
    send(reply.headers(live.notes), withTier(live, body));
  }
}

/** OpenAI's answers tell in their body too which tier was asked for. */
function withTier({ endpoint, notes }: LiveCall, response: ResponseBody): ResponseBody {
  const tier = notes[TIER_HEADER];
  if (tier === undefined || endpoint !== 'embeddings' || response.kind !== 'json') return response;
  return { ...response, body: { ...response.body, service_tier: tier } };
}

function liveCall({ live }: Pick<FastifyRequest, 'live'>): LiveCall {
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
