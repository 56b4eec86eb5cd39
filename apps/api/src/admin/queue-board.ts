import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import { InterleaveError } from '@app/contracts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { BatchService } from '../batches/batch.service';
import { answerError } from '../http/error-answer';
import { protectPage } from '../http/page-headers';

const PATH = '/admin/queues';
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD']);
/** Retry, promote and clean jobs, pause and resume queues: what the store makes good again. No job can be written or changed. */
const ACTION_PATHS = [
  '(?:pause|resume)',
  '[^/]+/(?:pause|resume|promote)',
  '[^/]+/(?:retry|clean)/[^/]+',
  '[^/]+/[^/]+/(?:retry|clean|promote)',
];
const ACTIONS = new RegExp(`^${PATH}/api/queues/(?:${ACTION_PATHS.join('|')})$`);
/** bull-board brings inline scripts and styles, and a base element. */
const POLICY =
  "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data:; font-src 'self' data:; base-uri 'self'";
/** Web fonts: the policy would hold them back, and the page works without. */
const LINKS_ELSEWHERE = /<link\b[^>]*\bhref="(?:https?:)?\/\/[^>]*>/gi;
const LINKS = [
  { text: 'Dashboard: batches', url: '/dashboard#/batches' },
  { text: 'API', url: '/docs' },
];

/** bull-board at `/admin/queues`; to look at only, unless `takesActions`. Answers 503 while Redis is away. */
export function serveQueueBoard(fastify: FastifyInstance, batches: BatchService, takesActions: boolean): void {
  const board = new FastifyAdapter();
  board.setBasePath(PATH);
  const options = { readOnlyMode: !takesActions, allowRetries: takesActions, allowCompletedRetries: false };
  createBullBoard({
    queues: batches.boardQueues().map((queue) => new BullMQAdapter(queue, options)),
    serverAdapter: board,
    options: { uiConfig: { boardTitle: 'Interleave queues', miscLinks: LINKS, hideDocsLink: true } },
  });
  void fastify.register(
    async (scope) => {
      scope.addHook('onRequest', (request, reply, done) => {
        protectPage(reply, POLICY);
        const refusal = refusalOf(request, takesActions);
        if (refusal !== null) answerError(refusal, request, reply);
        else if (batches.isRedisReady()) done();
        else answerError(redisAway(), request, reply);
      });
      scope.addHook('onSend', (_request, _reply, payload, done) =>
        done(null, typeof payload === 'string' && payload.startsWith('<!DOCTYPE') ? payload.replace(LINKS_ELSEWHERE, '') : payload),
      );
      await scope.register(board.registerPlugin());
    },
    { prefix: PATH },
  );
}

/** bull-board answers 200 to some writes of a read-only board and ignores them. */
function refusalOf({ method, url }: FastifyRequest, takesActions: boolean): InterleaveError | null {
  if (READING.has(method)) return null;
  if (!takesActions)
    return new InterleaveError(
      'forbidden',
      'This board is read-only; cancel a batch at /dashboard, or with POST /v1/batches/{id}/cancel. ' +
        'Its buttons work with queueBoard.actions in interleave.yaml',
    );
  const [path = ''] = url.split('?');
  if (method === 'PUT' && ACTIONS.test(path)) return null;
  return new InterleaveError(
    'forbidden',
    'This board retries, promotes and cleans jobs, and pauses and resumes queues, and nothing else; ' +
      'what batches do is changed at /dashboard',
  );
}

const redisAway = (): InterleaveError =>
  new InterleaveError('worker_unavailable', 'Redis is not connected; live requests do not need it, batches wait for it', {
    retryAfterSeconds: 1,
  });
