import { Controller, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { Config } from '@app/config';
import type { UploadObject, UploadPartObject } from '@app/contracts';
import { jsonLimits, parseJsonBodyInSlices } from '@app/protocols';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf, checkLane } from '../access/caller';
import { Documented } from '../docs/documented';
import { CONFIG } from '../tokens';
import { BatchService } from './batch.service';
import { receivePart } from './receive-part';
import { parseCompletion, parseUploadRequest } from './upload-requests';

/** OpenAI's uploads: files that come in parts (docs/protocols.md §8). */
@Controller('v1/uploads')
export class UploadsController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly service: BatchService,
  ) {}

  @Post()
  @HttpCode(200)
  @Documented({
    tag: 'files',
    summary: 'Begin an upload in parts',
    body: 'UploadRequest',
    ok: 'Upload',
    errors: [400, 403, 413, 415, 429, 503, 507],
    errorSchema: 'OpenAiError',
  })
  async create(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<UploadObject> {
    checkLane(callerOf(request), 'batch');
    return this.service.uploads.create(parseUploadRequest(await this.bodyOf(request, reply)), callerOf(request));
  }

  @Get(':id')
  @Documented({
    tag: 'files',
    summary: 'One upload, with its parts while it is pending',
    ok: 'Upload',
    errors: [404, 503],
    errorSchema: 'OpenAiError',
  })
  get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<UploadObject> {
    return this.service.uploads.get(id, callerOf(request));
  }

  @Post(':id/parts')
  @HttpCode(200)
  @Documented({
    tag: 'files',
    summary: 'Add a part; parts may come at once and in any order',
    body: { 'multipart/form-data': 'UploadPartForm', 'application/octet-stream': 'UploadPartBytes' },
    ok: 'UploadPart',
    errors: [400, 403, 404, 409, 413, 415, 503, 507],
    errorSchema: 'OpenAiError',
  })
  addPart(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<UploadPartObject> {
    return receivePart(this.service, id, request, reply);
  }

  @Post(':id/complete')
  @HttpCode(200)
  @Documented({
    tag: 'files',
    summary: 'Make the file of parts; the same request again gives the same file',
    body: 'UploadCompletion',
    ok: 'Upload',
    errors: [400, 403, 404, 409, 413, 415, 503, 507],
    errorSchema: 'OpenAiError',
  })
  async complete(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<UploadObject> {
    checkLane(callerOf(request), 'batch');
    return this.service.uploads.complete(id, parseCompletion(await this.bodyOf(request, reply)), callerOf(request));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @Documented({
    tag: 'files',
    summary: 'Drop an upload and its parts',
    ok: 'Upload',
    errors: [404, 409, 503, 507],
    errorSchema: 'OpenAiError',
  })
  cancel(@Param('id') id: string, @Req() request: FastifyRequest): Promise<UploadObject> {
    return this.service.uploads.cancel(id, callerOf(request));
  }

  private async bodyOf(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    return parseJsonBodyInSlices(await request.readBody(reply), jsonLimits(this.config.http));
  }
}
