import { InterleaveError } from '@app/contracts';
import { Controller, HttpCode, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Documented } from '../docs/documented';
import { JsonBody } from '../live/open-inference/json-body';
import { ModelCommands } from './model-commands';

/** Triton's model control extension. */
@Controller('v2/repository/models')
export class ModelCommandsController {
  constructor(
    private readonly commands: ModelCommands,
    private readonly bodies: JsonBody,
  ) {}

  @Post(':model/load')
  @HttpCode(200)
  @Documented({
    tag: 'models',
    summary: 'Load a model, or load it anew as its files are now',
    description: 'For operators. Answers once the model serves; a model that serves already goes on until then.',
    body: 'RepositoryCommand',
    isBodyOptional: true,
    ok: 'RepositoryDone',
    errors: [400, 403, 413, 415, 501, 503],
  })
  async load(
    @Param('model') model: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<object> {
    await this.commands.load(model, await this.parameters(request, reply));
    return {};
  }

  @Post(':model/unload')
  @HttpCode(200)
  @Documented({
    tag: 'models',
    summary: 'Unload a model',
    description: 'For operators. Answers once no new request gets the model; what it runs is answered.',
    body: 'RepositoryCommand',
    isBodyOptional: true,
    ok: 'RepositoryDone',
    errors: [400, 403, 413, 415, 501, 503],
  })
  async unload(
    @Param('model') model: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<object> {
    await this.commands.unload(model, await this.parameters(request, reply));
    return {};
  }

  private async parameters(request: FastifyRequest, reply: FastifyReply): Promise<object> {
    const { parameters = {} } = await this.bodies.read(request, reply);
    if (typeof parameters === 'object' && parameters !== null && !Array.isArray(parameters)) return parameters;
    throw new InterleaveError('invalid_request', 'expected an object for parameters', { param: 'parameters' });
  }
}
