import { mkdirSync } from 'node:fs';
import type { Config } from '@app/config';
import type { Logger } from '@app/telemetry';
import { Global, Module, type DynamicModule } from '@nestjs/common';
import { lockDataDir } from './supervision/data-dir-lock';
import { PidFiles } from './supervision/pid-files';
import { CONFIG, LOGGER } from './tokens';

/** What every module may use: settings, log, and the run directory, which is this scheduler's alone. */
@Global()
@Module({})
export class ProcessModule {
  static of(config: Config, log: Logger): DynamicModule {
    return {
      module: ProcessModule,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: LOGGER, useValue: log },
        { provide: PidFiles, useFactory: () => openRunDir(config) },
      ],
      exports: [CONFIG, LOGGER, PidFiles],
    };
  }
}

/** Throws when another scheduler has the data directory. */
function openRunDir({ dataDir, runDir }: Config): PidFiles {
  mkdirSync(dataDir, { recursive: true });
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  lockDataDir(dataDir);
  return new PidFiles(runDir);
}
