import type { Config } from '@app/config';
import { FleetConnection } from '@app/fleet';
import { openPlacement, PlacementReader } from '@app/process';
import { observeProcess, observeTracing, type Logger, type Tracing } from '@app/telemetry';
import { Global, Module, type DynamicModule } from '@nestjs/common';
import { Registry } from 'prom-client';
import { Lifecycle } from './lifecycle';
import { CONFIG, FLEET, LOGGER, PROCESS_ID, TRACING, TURN } from './tokens';
import type { Turn } from './turn';

/** Name of the status socket of the API process that answers, and of all API processes in metrics. */
export const ROLE = 'api';

/** What a process is told when it starts. */
export interface ApiProcess {
  config: Config;
  /** Its name at the scheduler; equal to the role where it is the only one. */
  id: string;
  /** Null: it is the only API process. */
  turn: Turn | null;
  logger: Logger;
  /** Null: nothing is traced. */
  tracing: Tracing | null;
}

/** What every module of the process may use: its settings, log and metrics, the plan of the node. */
@Global()
@Module({})
export class ProcessModule {
  static of({ config, id, turn, logger, tracing }: ApiProcess): DynamicModule {
    return {
      module: ProcessModule,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: LOGGER, useValue: logger },
        { provide: TRACING, useValue: tracing },
        { provide: PROCESS_ID, useValue: id },
        { provide: TURN, useValue: turn },
        // The only one of this process: all see the same placement.
        { provide: PlacementReader, useFactory: () => openPlacement(config.runDir, logger) },
        { provide: FLEET, useFactory: () => FleetConnection.open(config, logger) },
        { provide: Registry, useFactory: () => openRegistry(tracing) },
        Lifecycle,
      ],
      exports: [CONFIG, FLEET, LOGGER, TRACING, PROCESS_ID, TURN, PlacementReader, Registry, Lifecycle],
    };
  }
}

/** The metrics of this process. */
function openRegistry(tracing: Tracing | null): Registry {
  const registry = new Registry();
  observeProcess(registry, ROLE);
  observeTracing(registry, ROLE, tracing);
  return registry;
}
