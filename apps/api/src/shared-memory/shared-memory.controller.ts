import { Controller, Get, HttpCode, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Documented } from '../docs/documented';
import { JsonBody } from '../live/open-inference/json-body';
import { SharedMemoryService } from './shared-memory.service';
import type { RegionStatus } from './shared-regions';

const EMPTY = { contentType: 'text/plain', description: 'Done; the body is empty' };
const ERRORS = [403, 501] as const;

/** Triton's system shared memory extension: tensors of callers on this machine without a way through the socket. */
@Controller('v2/systemsharedmemory')
export class SharedMemoryController {
  constructor(
    private readonly memory: SharedMemoryService,
    private readonly bodies: JsonBody,
  ) {}

  @Get(['status', 'region/:region/status'])
  @Documented({ tag: 'infer', summary: 'Registered regions of shared memory', ok: 'SharedMemoryStatus', errors: [...ERRORS, 404] })
  status(@Req() request: FastifyRequest, @Param('region') region: string | undefined): RegionStatus[] {
    return this.memory.regions.status(this.memory.tenantOf(request), region ?? null);
  }

  @Post('region/:region/register')
  @HttpCode(200)
  @Documented({
    tag: 'infer',
    summary: 'Registers a region of a POSIX shared memory object',
    body: 'SharedMemoryRequest',
    ok: EMPTY,
    errors: [...ERRORS, 400, 409, 413, 415],
  })
  async register(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Param('region') region: string,
  ): Promise<void> {
    const tenant = this.memory.tenantOf(request);
    this.memory.regions.register(tenant, region, await this.bodies.read(request, reply));
  }

  @Post(['unregister', 'region/:region/unregister'])
  @HttpCode(200)
  @Documented({ tag: 'infer', summary: 'Forgets a region, or all of them', ok: EMPTY, errors: [...ERRORS] })
  unregister(@Req() request: FastifyRequest, @Param('region') region: string | undefined): void {
    this.memory.regions.unregister(this.memory.tenantOf(request), region ?? null);
  }
}
