import { Global, Module, type DynamicModule, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Counter, Gauge, Registry } from 'prom-client';
import { Access } from './access';
import { LoginController } from './login.controller';
import { Sessions } from './sessions';

/** Who may call. The hook that asks is `guardAccess`. */
@Global()
@Module({})
export class AccessModule implements OnModuleInit, OnApplicationShutdown {
  constructor(
    private readonly access: Access,
    private readonly registry: Registry,
  ) {}

  static of(access: Access, sessions: Sessions): DynamicModule {
    return {
      module: AccessModule,
      controllers: [LoginController],
      providers: [
        { provide: Access, useValue: access },
        { provide: Sessions, useValue: sessions },
      ],
      exports: [Access, Sessions],
    };
  }

  onModuleInit(): void {
    const { access } = this;
    let counted = 0;
    const registers = [this.registry];
    new Counter({
      name: 'interleave_requests_without_valid_key_total',
      help: 'Requests that were refused for the key or token that they showed, or did not show',
      registers,
      collect() {
        this.inc(access.refused - counted);
        counted = access.refused;
      },
    });
    new Gauge({
      name: 'interleave_keys',
      help: 'Keys of this node, by state: `ending` within 14 days, `expired`, or `valid` for longer',
      labelNames: ['state'],
      registers,
      collect() {
        for (const [state, keys] of Object.entries(access.keyCounts())) this.set({ state }, keys);
      },
    });
  }

  onApplicationShutdown(): void {
    this.access.close();
  }
}
