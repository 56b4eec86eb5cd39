import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import { InterleaveError } from '@app/contracts';
import type { FastifyInstance } from 'fastify';
import type { BatchService } from '../batches/batch.service';
import { answerError } from '../http/error-answer';
import { protectPage } from '../http/page-headers';

const PATH = '/admin/queues';
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD']);
/** bull-board brings inline scripts and styles, and a base element; its web fonts stay out, the page works without. */
const POLICY =
  "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; base-uri 'self'";

/** bull-board at `/admin/queues`, to look at only. Answers 503 while Redis is away. */
export function serveQueueBoard(fastify: FastifyInstance, batches: BatchService): void {
  const board = new FastifyAdapter();
  board.setBasePath(PATH);
  createBullBoard({
    queues: batches.boardQueues().map((queue) => new BullMQAdapter(queue, { readOnlyMode: true, allowRetries: false })),
    serverAdapter: board,
    options: { uiConfig: { boardTitle: 'Interleave queues' } },
  });
  void fastify.register(
    async (scope) => {
      scope.addHook('onRequest', (request, reply, done) => {
        protectPage(reply, POLICY);
        if (!READING.has(request.method)) answerError(readOnly(), request, reply);
        else if (batches.isRedisReady()) done();
        else answerError(redisAway(), request, reply);
      });
      await scope.register(board.registerPlugin());
    },
    { prefix: PATH },
  );
}

/** bull-board answers 200 to some writes and ignores them. */
const readOnly = (): InterleaveError =>
  new InterleaveError('forbidden', 'This board is read-only; cancel a batch with POST /v1/batches/{id}/cancel');

const redisAway = (): InterleaveError =>
  new InterleaveError('worker_unavailable', 'Redis is not connected; live requests do not need it, batches wait for it', {
    retryAfterSeconds: 1,
  });
