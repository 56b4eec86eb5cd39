import type { Config } from '@app/config';
import type { InferenceBackend, Placement } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import type { Logger } from '@app/telemetry';

/** What the process opened before the application was composed; its owner (main) closes it. */
export interface Parts {
  config: Config;
  logger: Logger;
  placement: Placement;
  /** The real-time lane. */
  backend: InferenceBackend;
  catalog: ModelCatalog;
}

/** Injection tokens of the parts. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
export const PLACEMENT = Symbol('placement');
export const BACKEND = Symbol('backend');
export const CATALOG = Symbol('catalog');
