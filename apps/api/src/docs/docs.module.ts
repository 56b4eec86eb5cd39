import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { fastifyOf } from '../http/fastify-adapter';
import { protectPage } from '../http/page-headers';

const PATH = '/docs';
/** Swagger UI sets styles of its own. */
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'";

/** Guards the pages that `serveDocs` puts on the application: Swagger takes a whole one, which no module has. */
@Module({})
export class DocsModule implements OnModuleInit {
  constructor(private readonly http: HttpAdapterHost) {}

  onModuleInit(): void {
    fastifyOf(this.http).addHook('onRequest', (request, reply, done) => {
      if (request.url.startsWith(PATH)) protectPage(reply, POLICY);
      done();
    });
  }
}
