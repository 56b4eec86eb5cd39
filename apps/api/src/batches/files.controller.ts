import { Controller, Delete, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FileObject, FilePurpose } from '@app/contracts';
import { isFileId } from '@app/batches';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf } from '../access/caller';
import { Documented, PAGE_QUERY } from '../docs/documented';
import { parsePage } from './batch-requests';
import { invalid } from './invalid';
import { BatchService } from './batch.service';
import { toList, type List } from './list';
import { receiveUpload } from './receive-upload';
import { sendContent } from './send-content';

const LIMIT_MAX = 10_000;

/** OpenAI's files (docs/protocols.md §8). */
@Controller('v1/files')
export class FilesController {
  constructor(private readonly service: BatchService) {}

  @Post()
  @HttpCode(200)
  @Documented({
    tag: 'files',
    summary: 'Upload the rows of a batch',
    body: { 'multipart/form-data': 'FileUpload', 'application/x-ndjson': 'FileRows' },
    ok: 'File',
    errors: [400, 413, 415, 429, 503, 507],
    errorSchema: 'OpenAiError',
  })
  create(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<FileObject> {
    return receiveUpload(this.service, request, reply);
  }

  @Get()
  @Documented({
    tag: 'files',
    summary: 'Files, newest first',
    query: [...PAGE_QUERY, 'purpose'],
    ok: 'FileList',
    errors: [400, 503],
    errorSchema: 'OpenAiError',
  })
  async list(@Query() query: Record<string, unknown>, @Req() request: FastifyRequest): Promise<List<FileObject>> {
    const page = parsePage(query, { limitMax: LIMIT_MAX, limitDefault: LIMIT_MAX, isId: isFileId });
    return toList(await this.service.listFiles(page, parsePurpose(query['purpose']), callerOf(request)));
  }

  @Get(':id')
  @Documented({ tag: 'files', summary: 'One file', ok: 'File', errors: [404, 503], errorSchema: 'OpenAiError' })
  get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<FileObject> {
    return this.service.getFile(id, callerOf(request));
  }

  @Delete(':id')
  @Documented({ tag: 'files', summary: 'Delete a file', ok: 'FileDeleted', errors: [404, 409, 503, 507], errorSchema: 'OpenAiError' })
  async delete(@Param('id') id: string, @Req() request: FastifyRequest): Promise<{ id: string; object: 'file'; deleted: true }> {
    await this.service.deleteFile(id, callerOf(request));
    return { id, object: 'file', deleted: true };
  }

  /** Streams the bytes; `Range: bytes=<from>-[<to>]` continues a download that broke off. */
  @Get(':id/content')
  @Documented({
    tag: 'files',
    summary: 'Content of a file',
    ok: { contentType: 'application/x-ndjson', description: 'JSON Lines' },
    errors: [404, 416, 503],
    errorSchema: 'OpenAiError',
  })
  async content(@Param('id') id: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    await sendContent(request, reply, await this.service.openContent(id, callerOf(request)));
  }
}

function parsePurpose(value: unknown): FilePurpose | null {
  if (value === undefined) return null;
  if (value === 'batch' || value === 'batch_output') return value;
  throw invalid('purpose', '"batch" or "batch_output"', value);
}
