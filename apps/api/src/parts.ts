import type { Config } from '@app/config';
import type { InferenceBackend } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import type { PlacementReader } from '@app/process';
import type { Logger } from '@app/telemetry';
import type { Registry } from 'prom-client';
import type { BatchService } from './batches/batch.service';

/** What the process opened before the application was composed; its owner (main) closes it. */
export interface Parts {
  config: Config;
  logger: Logger;
  /** The only one of this process: all see the same placement. */
  placement: PlacementReader;
  /** The real-time lane. */
  backend: InferenceBackend;
  catalog: ModelCatalog;
  batches: BatchService;
  /** Metrics of this process. */
  registry: Registry;
}

/** Injection tokens of the parts. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
export const BACKEND = Symbol('backend');
export const CATALOG = Symbol('catalog');
