import { Controller, Get, Header } from '@nestjs/common';
import { Documented } from '../docs/documented';
import { MergedMetrics } from './merge';

@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: MergedMetrics) {}

  @Get()
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  @Documented({
    tag: 'operations',
    summary: 'Metrics of all processes of the node',
    ok: { contentType: 'text/plain', description: 'Prometheus text exposition' },
  })
  async scrape(): Promise<string> {
    return (await this.metrics.collect()).metrics();
  }
}
