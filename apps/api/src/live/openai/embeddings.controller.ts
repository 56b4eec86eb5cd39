import { Controller, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LiveRoute } from '../live-route';
import { LiveService } from '../live.service';
import type { ModelPath } from '../model-path';

@Controller('v1/embeddings')
export class EmbeddingsController {
  constructor(private readonly live: LiveService) {}

  @LiveRoute('embeddings', ['/'], {
    summary: 'Vectors for texts or token ids',
    body: 'EmbeddingsRequest',
    ok: 'EmbeddingsResponse',
    errorSchema: 'OpenAiError',
  })
  create(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply);
  }
}
