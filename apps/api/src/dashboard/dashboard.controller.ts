import { Controller, Get, Header } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { DashboardCollector } from './collector';
import type { DashboardState } from './state';

/** What the dashboard shows. Its state is not a stable interface. */
@ApiExcludeController()
@Controller('dashboard')
export class DashboardController {
  constructor(private readonly collector: DashboardCollector) {}

  @Get('state')
  @Header('cache-control', 'no-store')
  state(): Promise<DashboardState> {
    return this.collector.state();
  }
}
