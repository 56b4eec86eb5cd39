import { Inject, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { TLS_FILES } from '../tokens';
import type { TlsFiles } from './tls-files';

/** The certificate of this node, for all who accept connections; null where there is no TLS. */
@Module({})
export class TlsModule implements OnApplicationShutdown {
  constructor(
    @Inject(TLS_FILES) private readonly files: TlsFiles | null,
    registry: Registry,
  ) {
    if (files !== null) observeExpiry(files, registry);
  }

  static of(files: TlsFiles | null): DynamicModule {
    return { module: TlsModule, global: true, providers: [{ provide: TLS_FILES, useValue: files }], exports: [TLS_FILES] };
  }

  onApplicationShutdown(): void {
    this.files?.close();
  }
}

export function observeExpiry(files: Pick<TlsFiles, 'current'>, registry: Registry): void {
  new Gauge({
    name: 'interleave_tls_certificate_expiry_seconds',
    help: 'When the certificate in use ends, in Unix time',
    registers: [registry],
    collect() {
      this.set(files.current.validToMs / 1000);
    },
  });
}
