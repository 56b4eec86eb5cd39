import { Controller, Get, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { Config } from '@app/config';
import { isBatchId, type BatchView } from '@app/batches';
import { jsonLimits, parseJsonBodyInSlices } from '@app/protocols';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf, checkLane } from '../access/caller';
import { Documented, PAGE_QUERY } from '../docs/documented';
import { CONFIG } from '../tokens';
import { parseBatchRequest, parsePage } from './batch-requests';
import { idempotencyKey } from './idempotency-key';
import { BatchService } from './batch.service';
import { toList, type List } from './list';

const LIMIT_MAX = 100;
const LIMIT_DEFAULT = 20;

/** OpenAI's batches (docs/protocols.md §9). */
@Controller('v1/batches')
export class BatchesController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly service: BatchService,
  ) {}

  @Post()
  @HttpCode(200)
  @Documented({
    tag: 'batches',
    summary: 'Start a batch over an uploaded file; with an Idempotency-Key once',
    body: 'BatchRequest',
    ok: 'Batch',
    errors: [400, 404, 409, 413, 415, 422, 429, 503, 507],
    errorSchema: 'OpenAiError',
  })
  async create(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<BatchView> {
    checkLane(callerOf(request), 'batch');
    const value = idempotencyKey(request.headers);
    const body = await request.readBody(reply);
    const batch = parseBatchRequest(await parseJsonBodyInSlices(body, jsonLimits(this.config.http)));
    return this.service.createBatch(batch, callerOf(request), value === null ? null : { value, body });
  }

  @Get()
  @Documented({
    tag: 'batches',
    summary: 'Batches, newest first',
    query: PAGE_QUERY,
    ok: 'BatchList',
    errors: [400, 503],
    errorSchema: 'OpenAiError',
  })
  async list(@Query() query: Record<string, unknown>, @Req() request: FastifyRequest): Promise<List<BatchView>> {
    const page = parsePage(query, { limitMax: LIMIT_MAX, limitDefault: LIMIT_DEFAULT, isId: isBatchId });
    return toList(await this.service.listBatches(page, callerOf(request)));
  }

  @Get(':id')
  @Documented({ tag: 'batches', summary: 'One batch', ok: 'Batch', errors: [404, 503], errorSchema: 'OpenAiError' })
  get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchView> {
    return this.service.getBatch(id, callerOf(request));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @Documented({
    tag: 'batches',
    summary: 'Stop a batch; what is finished stays',
    ok: 'Batch',
    errors: [404, 409, 503, 507],
    errorSchema: 'OpenAiError',
  })
  cancel(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchView> {
    return this.service.cancelBatch(id, callerOf(request));
  }
}
