import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Access } from './access/access';
import { AccessModule } from './access/access.module';
import { Sessions } from './access/sessions';
import { AppModule } from './app.module';
import { serveDocs } from './docs/openapi';
import { createFastifyAdapter } from './http/fastify-adapter';
import { NestLogger } from './nest-logger';
import type { ApiProcess } from './process.module';
import { TlsFiles } from './tls/tls-files';

export interface ApiOptions extends ApiProcess {
  /** A `LaneModule`. */
  lane: DynamicModule;
}

/** The application, ready to listen. Whatever it opened is closed with it. */
export async function createServer({ lane, ...process }: ApiOptions): Promise<NestFastifyApplication> {
  const { config, logger, tracing } = process;
  const tls = config.tls === null ? null : await TlsFiles.open(config.tls, logger);
  const access = await Access.open(config, logger);
  const sessions = new Sessions();
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.of(process, lane, AccessModule.of(access, sessions), tls),
    createFastifyAdapter(config, { access, sessions, tls, tracing }),
    { bodyParser: false, logger: new NestLogger(logger), abortOnError: false },
  );
  serveDocs(app);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}
