import { InterleaveError } from '@app/contracts';
import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { protectPage } from '../../http/page-headers';
import { PageFiles } from './page-files';

/** What the page was built of, and requests to this server. */
const POLICY = "default-src 'none'; base-uri 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self'";
const YEAR_SECONDS = 31_536_000;

/** The page for operators (`apps/dashboard`). What it shows comes from the other routes below `/dashboard`. */
@ApiExcludeController()
@Controller('dashboard')
export class PageController {
  private readonly files = PageFiles.read();

  @Get()
  page(@Res() reply: FastifyReply): void {
    if (this.files === null)
      throw new InterleaveError('not_found', 'The dashboard was not built; run make build. The numbers are at /metrics');
    protectPage(reply, POLICY);
    const { body, contentType } = this.files.index;
    void reply.header('content-type', contentType).send(body);
  }

  @Get('assets/:name')
  asset(@Param('name') name: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    const file = this.files?.assets.get(name);
    if (file === undefined) throw new InterleaveError('not_found', 'There is no such part of the dashboard; reload the page');
    protectPage(reply, POLICY);
    // Nobody's data is in it.
    void reply.headers({ 'cache-control': `private, max-age=${YEAR_SECONDS}, immutable`, etag: file.etag });
    if (request.headers['if-none-match'] === file.etag) void reply.code(304).send();
    else void reply.header('content-type', file.contentType).send(file.body);
  }
}
