import { Controller, Delete, Get, Header, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { isBatchId } from '@app/batches';
import type { Config } from '@app/config';
import { InterleaveError, type BatchDetail, type BatchSearchResult, type BatchSummaryPage } from '@app/contracts';
import { jsonLimits, parseJsonBodyInSlices } from '@app/protocols';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf } from '../../access/caller';
import { parseBatchChange, parsePage } from '../../batches/batch-requests';
import { BatchService } from '../../batches/batch.service';
import { invalid } from '../../batches/invalid';
import { sendContent } from '../../batches/send-content';
import { CONFIG } from '../../tokens';
import { parseFilter } from './batch-filter';
import { OperatorBatches } from './operator-batches';
import { parseCursor, type SearchRequest } from './search/custom-id-search';

const LIMITS = { limitMax: 100, limitDefault: 50, isId: isBatchId };
const QUERY_CHARS_MAX = 512;
const NOT_KEPT = 'no-store';

/** Batches as operators see them, and what they do to them (docs/operating.md). Not a stable interface: programs use /v1/batches. */
@ApiExcludeController()
@Controller('dashboard/batches')
export class DashboardBatchesController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly service: BatchService,
    private readonly batches: OperatorBatches,
  ) {}

  @Get()
  @Header('cache-control', NOT_KEPT)
  list(@Query() query: Record<string, unknown>): Promise<BatchSummaryPage> {
    return this.batches.list(parseFilter(query), parsePage(query, LIMITS));
  }

  @Get('search')
  @Header('cache-control', NOT_KEPT)
  search(@Query() query: Record<string, unknown>): Promise<BatchSearchResult> {
    return this.batches.find(parseSearch(query));
  }

  @Get(':id')
  @Header('cache-control', NOT_KEPT)
  get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchDetail> {
    return this.batches.detail(id, callerOf(request));
  }

  @Post(':id/pause')
  @HttpCode(200)
  async pause(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchDetail> {
    await this.service.changeBatch(id, { isPaused: true }, callerOf(request));
    return this.batches.detail(id, callerOf(request));
  }

  @Post(':id/resume')
  @HttpCode(200)
  async resume(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchDetail> {
    await this.service.changeBatch(id, { isPaused: false }, callerOf(request));
    return this.batches.detail(id, callerOf(request));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  async cancel(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchDetail> {
    await this.service.cancelBatch(id, callerOf(request));
    return this.batches.detail(id, callerOf(request));
  }

  @Post(':id/priority')
  @HttpCode(200)
  async prioritise(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<BatchDetail> {
    const body = await parseJsonBodyInSlices(await request.readBody(reply), jsonLimits(this.config.http));
    await this.service.changeBatch(id, parseBatchChange(body), callerOf(request));
    return this.batches.detail(id, callerOf(request));
  }

  /** Answers with the new batch. */
  @Post(':id/retry')
  @HttpCode(200)
  retry(@Param('id') id: string, @Req() request: FastifyRequest): Promise<BatchDetail> {
    return this.batches.retry(id, callerOf(request));
  }

  @Delete(':id')
  async delete(@Param('id') id: string, @Req() request: FastifyRequest): Promise<{ id: string; deleted: true }> {
    await this.service.deleteBatch(id, callerOf(request));
    return { id, deleted: true };
  }

  @Get(':id/output')
  output(@Param('id') id: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.send(id, 'output_file_id', request, reply);
  }

  @Get(':id/errors')
  errors(@Param('id') id: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.send(id, 'error_file_id', request, reply);
  }

  private async send(id: string, file: 'output_file_id' | 'error_file_id', request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { [file]: fileId, status } = await this.service.getBatch(id, callerOf(request));
    if (fileId === null)
      throw new InterleaveError(
        'not_found',
        `Batch ${id} is ${status} and has no such file; GET /dashboard/batches/${id} says which it has`,
        {
          param: 'id',
        },
      );
    await sendContent(request, reply, await this.service.openContent(fileId, callerOf(request)));
  }
}

function parseSearch({ q, batch, after }: Record<string, unknown>): SearchRequest {
  if (typeof q !== 'string' || q === '' || q.length > QUERY_CHARS_MAX)
    throw invalid('q', `the id of a batch or the custom_id of a row, 1 to ${QUERY_CHARS_MAX} characters`, q);
  if (batch !== undefined && !(typeof batch === 'string' && isBatchId(batch))) throw invalid('batch', 'the id of a batch', batch);
  const cursor = typeof after === 'string' ? parseCursor(after) : null;
  if (after !== undefined && cursor === null) throw invalid('after', 'next of the search before', after);
  return { query: q, batchId: batch ?? null, after: cursor };
}
