import { Controller, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LiveRoute } from '../live-route';
import { LiveService } from '../live.service';
import type { ModelPath } from '../model-path';

/** Inference of the Open Inference Protocol v2, JSON or binary tensors, both ways. */
@Controller('v2/models')
export class InferController {
  constructor(private readonly live: LiveService) {}

  @LiveRoute('infer', [':model/infer', ':model/versions/:version/infer'], {
    summary: 'Tensors in, tensors out',
    description: 'Integers above 2^53 and FP16/BF16 tensors need the binary extension.',
    body: { 'application/json': 'InferRequest', 'application/octet-stream': 'BinaryTensors' },
    ok: 'InferResponse',
  })
  infer(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply);
  }
}
