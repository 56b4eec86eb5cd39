import { Controller, Get, Headers, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Documented } from '../docs/documented';
import { FORMATS, formatFor } from './exposition';
import { MergedMetrics } from './merge';

@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: MergedMetrics) {}

  @Get()
  @Documented({
    tag: 'operations',
    summary: 'Metrics of all processes of the node',
    ok: { contentType: 'text/plain', description: 'Prometheus text exposition; OpenMetrics with exemplars where `Accept` asks for it' },
  })
  async scrape(@Headers('accept') accept: string | undefined, @Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    const format = formatFor(accept);
    void reply.header('content-type', FORMATS[format]).header('vary', 'accept');
    return (await this.metrics.collect(format)).metrics();
  }
}
