import { Controller, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LiveRoute } from '../live-route';
import { LiveService } from '../live.service';
import type { ModelPath } from '../model-path';

/** Endpoints for one task each; the model is in the body. */
@Controller()
export class TasksController {
  constructor(private readonly live: LiveService) {}

  @LiveRoute('rerank', ['v1/rerank', 'v2/rerank', 'rerank'], {
    summary: 'Documents by how well they answer a query, best first',
    body: 'RerankRequest',
    ok: 'RerankResponse',
    errorSchema: 'OpenAiError',
  })
  rerank(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply);
  }

  @LiveRoute('classify', ['v1/classify'], {
    summary: 'Labels for texts',
    body: 'ClassifyRequest',
    ok: 'ClassifyResponse',
    errorSchema: 'OpenAiError',
  })
  classify(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply);
  }

  @LiveRoute('tokenize', ['v1/tokenize'], {
    summary: 'The token ids that a model is given for texts; nothing is run',
    body: 'TokenizeRequest',
    ok: 'TokenizeResponse',
    errorSchema: 'OpenAiError',
  })
  tokenize(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply);
  }

  @LiveRoute('detokenize', ['v1/detokenize'], {
    summary: 'The texts of token ids; nothing is run',
    body: 'DetokenizeRequest',
    ok: 'DetokenizeResponse',
    errorSchema: 'OpenAiError',
  })
  detokenize(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply);
  }
}
