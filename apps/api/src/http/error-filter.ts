import { InterleaveError } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { Catch, Inject, NotFoundException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { answerError, asInterleaveError } from './error-answer';
import { logFailure, pathOf } from './log-failure';
import { LOGGER } from '../tokens';
import { RouteTable } from './route-table';

/** The one place where errors become answers. What nobody expected is logged with its stack and answered without it. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  constructor(
    @Inject(LOGGER) private readonly logger: Logger,
    private readonly routes: RouteTable,
  ) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const error = thrown instanceof NotFoundException ? this.notFound(request, reply) : asInterleaveError(thrown);
    const { id: requestId, trace, method, live } = request;
    logFailure(this.logger, error, { requestId, trace, method, path: pathOf(request), model: live?.model ?? '' });
    answerError(error, request, reply);
  }

  private notFound(request: FastifyRequest, reply: FastifyReply): InterleaveError {
    const path = pathOf(request);
    const methods = this.routes.methodsOf(path);
    // The table does not know the patterns of parameters: a path that it knows by this method is still not there.
    if (methods.length === 0 || methods.includes(request.method))
      return new InterleaveError('not_found', `No such path: ${request.method} ${path}; see /docs`);
    reply.header('allow', methods.join(', '));
    return new InterleaveError('method_not_allowed', `${path} takes ${methods.join(', ')}, not ${request.method}`);
  }
}
