import { Controller, Post, Req, Res } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Documented } from '../../docs/documented';
import { LiveService } from '../live.service';
import type { ModelPath } from '../model-path';
import { Preparer } from '../preparer';

/** The predict protocol of KServe V1 and TensorFlow Serving, at task level. */
@Controller('v1/models')
export class PredictController {
  constructor(
    private readonly live: LiveService,
    private readonly preparer: Preparer,
  ) {}

  // "::" is Fastify's way to write a colon; the pattern keeps the parameter from taking it.
  @Post([':model(^[^:]+)::predict', ':model/versions/:version(^[^:]+)::predict'])
  @RouteConfig({ live: 'predict' })
  @Documented({
    tag: 'infer',
    summary: 'Predictions for texts or tensors, one per instance',
    body: 'PredictRequest',
    ok: 'PredictResponse',
    errors: [400, 404, 413, 415, 422, 429, 503, 504],
  })
  predict(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    const { model, version } = request.params;
    return this.live.answer(request, reply, (body) =>
      this.preparer.prepare({ kind: 'predict', model, version: version ?? null }, body, request.headers),
    );
  }
}
