import type { FleetView } from '@app/contracts';
import { Controller, Get, Header, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Documented } from '../docs/documented';
import { JsonBody } from '../live/open-inference/json-body';
import { endpointsFor } from './discovery';
import { Fleet } from './fleet';

const JSON_TYPE = 'application/json; charset=utf-8';

/** For operators, and for proxies that ask where the nodes are. */
@Controller()
export class FleetController {
  constructor(
    private readonly fleet: Fleet,
    private readonly body: JsonBody,
  ) {}

  @Get('fleet')
  @Header('cache-control', 'no-store')
  @Documented({
    tag: 'operations',
    summary: 'The nodes of the fleet, and those that were lost',
    description: 'A node without a shared Redis is a fleet of one. While Redis is away the list is as it was, with `problem`.',
    ok: 'Fleet',
  })
  view(): Promise<FleetView> {
    return this.fleet.view();
  }

  @Post('v3/discovery::endpoints')
  @Documented({
    tag: 'operations',
    summary: 'Endpoint discovery for Envoy (xDS v3 over REST)',
    description:
      'Clusters `interleave-http`, `interleave-grpc` and `interleave-model-<name>`. 304 where the asker has this `version_info` already; ' +
      '503 until the list was read once, so that the asker keeps what it has.',
    body: 'DiscoveryRequest',
    ok: 'DiscoveryResponse',
    errors: [400, 503],
  })
  async discover(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const body = await this.body.read(request, reply);
    const answer = endpointsFor(body, await this.fleet.view());
    if (answer.version_info === (body['version_info'] ?? body['versionInfo'])) return void reply.code(304).send();
    void reply.code(200).header('content-type', JSON_TYPE).send(JSON.stringify(answer));
  }
}
