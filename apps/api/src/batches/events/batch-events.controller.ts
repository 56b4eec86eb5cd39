import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { isTerminal } from '@app/batches';
import { InterleaveError, type BatchLogEntry } from '@app/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Access } from '../../access/access';
import { callerOf } from '../../access/caller';
import { Sessions } from '../../access/sessions';
import { whoEnters } from '../../access/access-guard';
import { Documented } from '../../docs/documented';
import { EventStream } from '../../http/event-stream';
import { BatchService } from '../batch.service';
import { BatchWatches } from './batch-watches';
import { BatchStream, eventId } from './batch-stream';

const STREAMS_MAX = 1024;
/** Of these, of one tenant. */
const TENANT_STREAMS_MAX = 256;

/** What happens to one batch (docs/protocols.md §9.5). */
@Controller('v1/batches')
export class BatchEventsController {
  /** Open streams by tenant. */
  private readonly streams = new Map<string, number>();

  constructor(
    private readonly service: BatchService,
    private readonly watches: BatchWatches,
    private readonly access: Access,
    private readonly sessions: Sessions,
  ) {}

  @Get(':id/log')
  @Documented({ tag: 'batches', summary: 'What happened to a batch', ok: 'BatchLog', errors: [404, 503], errorSchema: 'OpenAiError' })
  async log(@Param('id') id: string, @Req() request: FastifyRequest): Promise<{ object: 'list'; data: BatchLogEntry[] }> {
    return { object: 'list', data: await this.service.readLog(id, callerOf(request)) };
  }

  @Get(':id/events')
  @Documented({
    tag: 'batches',
    summary: 'Server-sent events about a batch, until it is over',
    ok: {
      contentType: 'text/event-stream',
      description:
        'Events `batch.<status>` and `batch.progress`, each with the whole Batch as `data`. 204: the batch is over and `Last-Event-ID` is its last event',
    },
    errors: [404, 503],
    errorSchema: 'OpenAiError',
  })
  async events(@Param('id') id: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const caller = callerOf(request);
    const view = await this.service.getBatch(id, caller);
    const { 'last-event-id': given } = request.headers;
    const lastId = typeof given === 'string' ? given : '';
    // It tells those that would connect again and again to stop.
    if (isTerminal(view.status) && lastId === eventId(view)) return void reply.code(204).send();
    this.admit(caller.tenant);
    const stream = new EventStream(reply, async () => void (await whoEnters(request, this.access, this.sessions)));
    stream.onClose(() => this.leave(caller.tenant));
    const batch = new BatchStream(stream, lastId);
    batch.tell(view);
    if (isTerminal(view.status)) return;
    stream.onClose(this.watches.watch(id, { onBatch: (next) => batch.tell(next), onEnd: () => stream.end() }));
  }

  /** Throws `overloaded`. */
  private admit(tenant: string): void {
    const all = [...this.streams.values()].reduce((sum, count) => sum + count, 0);
    const own = this.streams.get(tenant) ?? 0;
    if (all >= STREAMS_MAX || own >= TENANT_STREAMS_MAX)
      throw new InterleaveError(
        'overloaded',
        `Expected at most ${TENANT_STREAMS_MAX} streams of events of one tenant and ${STREAMS_MAX} in all; close one, or ask with GET /v1/batches/{id}`,
      );
    this.streams.set(tenant, own + 1);
  }

  private leave(tenant: string): void {
    const left = (this.streams.get(tenant) ?? 1) - 1;
    if (left > 0) this.streams.set(tenant, left);
    else this.streams.delete(tenant);
  }
}
