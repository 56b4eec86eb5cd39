import { Controller, Post, Req, Res } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Documented } from '../../docs/documented';
import { LiveService } from '../live.service';
import type { ModelPath } from '../model-path';
import { Preparer } from '../preparer';

/** Inference of the Open Inference Protocol v2, JSON or binary tensors, both ways. */
@Controller('v2/models')
export class InferController {
  constructor(
    private readonly live: LiveService,
    private readonly preparer: Preparer,
  ) {}

  @Post([':model/infer', ':model/versions/:version/infer'])
  @RouteConfig({ live: 'infer' })
  @Documented({
    tag: 'infer',
    summary: 'Tensors in, tensors out',
    description: 'Integers above 2^53 and FP16/BF16 tensors need the binary extension.',
    body: { 'application/json': 'InferRequest', 'application/octet-stream': 'BinaryTensors' },
    ok: 'InferResponse',
    errors: [400, 404, 413, 415, 422, 429, 503, 504],
  })
  infer(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    const { model, version } = request.params;
    return this.live.answer(request, reply, (body) =>
      this.preparer.prepare({ kind: 'open-inference', model, version: version ?? null }, body, request.headers),
    );
  }
}
