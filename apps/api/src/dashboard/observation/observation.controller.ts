import { runPaths, type Config } from '@app/config';
import { InterleaveError, type NodeHistory, type NodeView } from '@app/contracts';
import { fetchDoor, OBSERVATION_DOORS } from '@app/process';
import { Controller, Get, Header, Inject, Query, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Access } from '../../access/access';
import { whoEnters } from '../../access/access-guard';
import { Sessions } from '../../access/sessions';
import { EventStream } from '../../http/event-stream';
import { CONFIG } from '../../tokens';
import { ObservationRelay } from './observation-relay';

const STREAMS_MAX = 64;
/** Of a reader that takes nothing: some snapshots. */
const BACKLOG_BYTES_MAX = 4 * 1024 * 1024;
const RETRY_MS = 2_000;
const HOURS = /^(?:[1-9]|1\d|2[0-4])$/;

/** The node as the scheduler sees it (docs/protocols.md §10.1), for the dashboard and `interleave top`. */
@ApiExcludeController()
@Controller('dashboard')
export class ObservationController {
  private streams = 0;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly relay: ObservationRelay,
    private readonly access: Access,
    private readonly sessions: Sessions,
  ) {}

  @Get('events')
  events(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    this.admit();
    const stream = new EventStream(reply, async () => void (await whoEnters(request, this.access, this.sessions)));
    stream.onClose(() => (this.streams -= 1));
    stream.write(`retry: ${RETRY_MS}\n\n`);
    const tell = (text: string): void => {
      if (stream.backlogBytes > BACKLOG_BYTES_MAX) stream.cutOff();
      else stream.write(text);
    };
    const { 'last-event-id': lastId } = request.headers;
    stream.onClose(this.relay.watch({ tell, end: () => stream.end() }, typeof lastId === 'string' ? lastId : ''));
  }

  @Get('view')
  @Header('cache-control', 'no-store')
  view(): Promise<NodeView> {
    return this.ask(OBSERVATION_DOORS.view);
  }

  @Get('history')
  @Header('cache-control', 'no-store')
  history(@Query('hours') hours = '1'): Promise<NodeHistory> {
    if (!HOURS.test(hours))
      throw new InterleaveError('invalid_request', `expected hours from 1 to 24 but received ${JSON.stringify(hours)}`, { param: 'hours' });
    return this.ask(`${OBSERVATION_DOORS.history}?hours=${hours}`);
  }

  private ask<T>(path: string): Promise<T> {
    return fetchDoor<T>(runPaths(this.config.runDir).statusSocket('scheduler'), path).catch((error: Error) => schedulerAway(error.message));
  }

  private admit(): void {
    if (this.streams >= STREAMS_MAX)
      throw new InterleaveError(
        'worker_unavailable',
        `Expected at most ${STREAMS_MAX} streams of the dashboard at an API process; close one, or ask with GET /dashboard/view`,
        { retryAfterSeconds: 5 },
      );
    this.streams += 1;
  }
}

function schedulerAway(reason: string): never {
  throw new InterleaveError('worker_unavailable', `The scheduler does not answer (${reason}); the node serves on without it`, {
    retryAfterSeconds: 2,
  });
}
