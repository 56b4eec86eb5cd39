import { join } from 'node:path';
import type { Config } from '@app/config';
import { LocalStore } from '@app/batches';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { openRunner, type RunnerDependencies, type OpenRunner } from '../open-runner';
import type { EchoEngine } from './echo-engine';

/** The child of the sources, for what has not been built. */
export const TABLE_CHILD_SOURCE: readonly string[] = [
  '--require',
  join(__dirname, '../../../../test/fixtures/register-ts.cjs'),
  join(__dirname, '../tables/child.ts'),
];

/** The lane of `config` with a stand-in for the models. */
export function openTestRunner(config: Config, engine: EchoEngine, changes: Partial<RunnerDependencies> = {}): Promise<OpenRunner> {
  return openRunner(config, {
    nodeId: `test-${config.dataDir.split('-').at(-1)}`,
    engine,
    store: new LocalStore(config.dataDir),
    crashes: 0,
    log: createLogger('runner', config.logLevel),
    registry: new Registry(),
    reconcileMs: 100,
    refusal: async () => null,
    tableChild: TABLE_CHILD_SOURCE,
    ...changes,
  });
}
