import { Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { isBatchId, type BatchView } from '@app/queues';
import { parseJsonBody } from '@app/protocols';
import type { FastifyRequest } from 'fastify';
import { parseBatchRequest, parsePage } from './batch-requests';
import { BatchService } from './batch.service';
import { toList, type List } from './list';

const LIMIT_MAX = 100;
const LIMIT_DEFAULT = 20;

/** OpenAI's batches (wire.md §7). */
@Controller('v1/batches')
export class BatchesController {
  constructor(private readonly service: BatchService) {}

  @Post()
  @HttpCode(200)
  create(@Req() request: FastifyRequest): Promise<BatchView> {
    return this.service.createBatch(parseBatchRequest(parseJsonBody(request.body as Buffer)));
  }

  @Get()
  async list(@Query() query: Record<string, unknown>): Promise<List<BatchView>> {
    return toList(await this.service.listBatches(parsePage(query, { limitMax: LIMIT_MAX, limitDefault: LIMIT_DEFAULT, isId: isBatchId })));
  }

  @Get(':id')
  get(@Param('id') id: string): Promise<BatchView> {
    return this.service.getBatch(id);
  }

  @Post(':id/cancel')
  @HttpCode(200)
  cancel(@Param('id') id: string): Promise<BatchView> {
    return this.service.cancelBatch(id);
  }
}
