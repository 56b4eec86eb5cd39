import type { FastifyInstance, FastifyReply } from 'fastify';
import type { LoadMeter } from './load-meter';
import { orcaText, TEXT_HEADER } from './orca';

/** Adds the header to answers of live requests, and to refusals that come before their bodies. */
export function reportByHttp(fastify: FastifyInstance, meter: LoadMeter): void {
  const report = (reply: FastifyReply): void => {
    const now = meter.report();
    if (now !== null) reply.header(TEXT_HEADER, orcaText(now));
  };
  fastify.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config.live !== undefined) {
      // Refusals before the body do not come to `onSend`.
      report(reply);
      reply.raw.once('finish', () => meter.answered(reply.raw.statusCode));
    }
    done();
  });
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    if (request.routeOptions.config.live !== undefined) report(reply);
    done();
  });
}
