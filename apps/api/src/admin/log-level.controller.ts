import { runPaths, type Config } from '@app/config';
import { InterleaveError, LOG_LEVELS, type NodeLogLevels } from '@app/contracts';
import { commandProcess, NODE_LOG_LEVEL_COMMAND } from '@app/process';
import { isLogLevel } from '@app/telemetry';
import { Controller, Get, Header, Inject, Put, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Documented } from '../docs/documented';
import { JsonBody } from '../live/open-inference/json-body';
import { CONFIG } from '../tokens';

/** How much the processes of the node log. For operators. */
@Controller('admin/log-level')
export class LogLevelController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly bodies: JsonBody,
  ) {}

  @Get()
  @Header('cache-control', 'no-store')
  @Documented({ tag: 'operations', summary: 'The log level of each process of the node', ok: 'LogLevels', errors: [403, 503] })
  read(): Promise<NodeLogLevels> {
    return this.ask({});
  }

  @Put()
  @Documented({
    tag: 'operations',
    summary: 'Change the log level of all processes of the node',
    description: 'Holds until the scheduler is started anew, which takes LOG_LEVEL again.',
    body: 'LogLevel',
    ok: 'LogLevels',
    errors: [400, 403, 413, 415, 503],
  })
  async change(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<NodeLogLevels> {
    const { level } = await this.bodies.read(request, reply);
    if (isLogLevel(level)) return this.ask({ level });
    throw new InterleaveError(
      'invalid_request',
      `expected one of ${LOG_LEVELS.join(', ')} for level but received ${JSON.stringify(level)?.slice(0, 64) ?? 'nothing'}`,
      { param: 'level' },
    );
  }

  private async ask(body: object): Promise<NodeLogLevels> {
    try {
      return await commandProcess(runPaths(this.config.runDir).statusSocket('scheduler'), NODE_LOG_LEVEL_COMMAND, body, 5_000);
    } catch (error) {
      throw new InterleaveError('worker_unavailable', 'The scheduler of this node does not answer; try again', { cause: error });
    }
  }
}
