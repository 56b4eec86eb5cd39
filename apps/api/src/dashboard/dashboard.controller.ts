import { Controller, Get, Header, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { protectPage } from '../http/page-headers';
import { DashboardCollector } from './collector';
import { PAGE, PAGE_SECURITY_POLICY } from './page';
import type { DashboardState } from './state';

/** One page for operators: which lane, worker and batch is doing what. Its state is not a stable interface. */
@ApiExcludeController()
@Controller('dashboard')
export class DashboardController {
  constructor(private readonly collector: DashboardCollector) {}

  @Get()
  page(@Res() reply: FastifyReply): void {
    protectPage(reply, PAGE_SECURITY_POLICY);
    void reply.header('content-type', 'text/html; charset=utf-8').send(PAGE);
  }

  @Get('state')
  @Header('cache-control', 'no-store')
  state(): Promise<DashboardState> {
    return this.collector.state();
  }
}
