import type { Config } from '@app/config';
import { DiskGuard } from '@app/queues';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { openLane, type LaneParts, type OpenLane } from '../open-lane';
import type { EchoEngine } from './echo-engine';

/** The lane of `config` with a stand-in for the models. */
export function openTestLane(config: Config, engine: EchoEngine, changes: Partial<LaneParts> = {}): Promise<OpenLane> {
  const disk = new DiskGuard(config.dataDir, 0);
  return openLane(config, { engine, disk, crashes: 0, log: createLogger('runner', config.logLevel), registry: new Registry(), reconcileMs: 100, ...changes });
}
