import type { Logger } from '@app/telemetry';
import { Logger as PinoNestLogger, PinoLogger } from 'nestjs-pino';

/**
 * Nest's own messages in our log; what it tells about its start is for debugging only. Without nestjs-pino's module,
 * whose middleware would run for every request.
 */
export class NestLogger extends PinoNestLogger {
  constructor(logger: Logger) {
    super(new PinoLogger({ pinoHttp: { logger } }), {});
  }

  override log(message: unknown, ...parameters: unknown[]): void {
    this.debug(message, ...parameters);
  }
}
