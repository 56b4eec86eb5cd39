import { Controller, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LiveRoute } from '../live-route';
import { LiveService } from '../live.service';
import type { ModelPath } from '../model-path';

/** The predict protocol of KServe V1 and TensorFlow Serving, at task level. */
@Controller('v1/models')
export class PredictController {
  constructor(private readonly live: LiveService) {}

  // "::" is Fastify's way to write a colon. A model's name may have one before its label; a version has none.
  @LiveRoute('predict', [':model(^.+)::predict', ':model/versions/:version(^[^:]+)::predict'], {
    summary: 'Predictions for texts or tensors, one per instance',
    body: 'PredictRequest',
    ok: 'PredictResponse',
  })
  predict(@Req() request: FastifyRequest<ModelPath>, @Res() reply: FastifyReply): Promise<void> {
    return this.live.answer(request, reply);
  }
}
