import type { FastifyInstance } from 'fastify';
import type { LoadMeter } from './load-meter';
import { orcaText, TEXT_HEADER } from './orca';

/** Adds the header to answers of live requests, refusals too. */
export function reportByHttp(fastify: FastifyInstance, meter: LoadMeter): void {
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    if (request.live !== null) {
      meter.answered(reply.statusCode);
      const report = meter.report();
      if (report !== null) reply.header(TEXT_HEADER, orcaText(report));
    }
    done();
  });
}
