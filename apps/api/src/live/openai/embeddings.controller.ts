import { Controller, Post, Req, Res } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Documented } from '../../docs/documented';
import { LiveService } from '../live.service';
import { Preparer } from '../preparer';

@Controller('v1/embeddings')
export class EmbeddingsController {
  constructor(
    private readonly live: LiveService,
    private readonly preparer: Preparer,
  ) {}

  @Post()
  @RouteConfig({ live: 'embeddings' })
  @Documented({
    tag: 'infer',
    summary: 'Vectors for texts or token ids',
    body: 'EmbeddingsRequest',
    ok: 'EmbeddingsResponse',
    errors: [400, 404, 413, 415, 422, 429, 503, 504],
    errorSchema: 'OpenAiError',
  })
  create(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply, (body) =>
      this.preparer.prepare({ kind: 'embeddings', model: null, version: null }, body, request.headers),
    );
  }
}
