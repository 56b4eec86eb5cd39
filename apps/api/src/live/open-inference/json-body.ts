import type { Config } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { jsonLimits, parseJsonBodyInSlices, type JsonLimits } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG } from '../../tokens';

/** Reads the small JSON bodies of Triton's extensions. */
@Injectable()
export class JsonBody {
  private readonly limits: JsonLimits;

  constructor(@Inject(CONFIG) config: Config) {
    this.limits = jsonLimits(config.http);
  }

  /** The object; an empty body is an empty one. Rejects as `readBody` and `parseJsonBody`. */
  async read(request: FastifyRequest, reply: FastifyReply): Promise<Record<string, unknown>> {
    const bytes = await request.readBody(reply);
    const body = bytes.length === 0 ? {} : await parseJsonBodyInSlices(bytes, this.limits);
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
    throw new InterleaveError('invalid_request', 'expected a JSON object as the body');
  }
}
