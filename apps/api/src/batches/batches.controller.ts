import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { Config } from '@app/config';
import { isBatchId, type BatchView } from '@app/batches';
import { jsonLimits, parseJsonBodyInSlices } from '@app/protocols';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf, checkLane } from '../access/caller';
import { Documented, PAGE_QUERY } from '../docs/documented';
import { CONFIG } from '../tokens';
import { parseBatchChange, parseBatchRequest, parsePage } from './batch-requests';
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

  @Post(':id')
  @HttpCode(200)
  @Documented({
    tag: 'batches',
    summary: 'Change the priority of a batch',
    body: 'BatchChange',
    ok: 'Batch',
    errors: [400, 404, 409, 413, 415, 503, 507],
    errorSchema: 'OpenAiError',
  })
  async change(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<BatchView> {
    const body = await parseJsonBodyInSlices(await request.readBody(reply), jsonLimits(this.config.http));
    return this.service.changeBatch(id, parseBatchChange(body), callerOf(request));
  }

  @Post(':id/pause')
  @HttpCode(200)
  @Documented({
    tag: 'batches',
    summary: 'Pause a batch; what runs is finished',
    ok: 'Batch',
    errors: [404, 409, 503, 507],
    errorSchema: 'OpenAiError',
  })
  pause(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchView> {
    return this.service.changeBatch(id, { isPaused: true }, callerOf(request));
  }

  @Post(':id/resume')
  @HttpCode(200)
  @Documented({
    tag: 'batches',
    summary: 'Let a paused batch go on',
    ok: 'Batch',
    errors: [404, 409, 503, 507],
    errorSchema: 'OpenAiError',
  })
  resume(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchView> {
    return this.service.changeBatch(id, { isPaused: false }, callerOf(request));
  }

  @Post(':id/retry')
  @HttpCode(200)
  @Documented({
    tag: 'batches',
    summary: 'Start a batch over the rows of this one that failed or did not run',
    ok: 'Batch',
    errors: [404, 409, 503, 507],
    errorSchema: 'OpenAiError',
  })
  retry(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchView> {
    checkLane(callerOf(request), 'batch');
    return this.service.retryBatch(id, callerOf(request));
  }

  @Delete(':id')
  @Documented({
    tag: 'batches',
    summary: 'Delete a batch that is over, with its output files',
    ok: 'BatchDeleted',
    errors: [404, 409, 503, 507],
    errorSchema: 'OpenAiError',
  })
  async delete(@Param('id') id: string, @Req() request: FastifyRequest): Promise<{ id: string; object: 'batch'; deleted: true }> {
    await this.service.deleteBatch(id, callerOf(request));
    return { id, object: 'batch', deleted: true };
  }
}
