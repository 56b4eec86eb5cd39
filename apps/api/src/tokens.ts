/** Injection tokens of what is no class of this application. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
/** `Tracing`, or null: nothing is traced. */
export const TRACING = Symbol('tracing');
/** The name of this process at the scheduler. */
export const PROCESS_ID = Symbol('process id');
/** `Turn`, or null: it is the only API process. */
export const TURN = Symbol('turn');
/** `FleetConnection`, or null: this node is in no fleet. */
export const FLEET = Symbol('fleet');
export const FLEET_MODELS = Symbol('fleet-models');
/** The real-time lane (`InferenceBackend`). */
export const BACKEND = Symbol('backend');
/** The batch lane, for `service_tier` `flex` (`InferenceBackend`). */
export const BATCH_BACKEND = Symbol('batch backend');
export const CATALOG = Symbol('catalog');
/** `TlsFiles`, or null: callers speak without TLS. */
export const TLS_FILES = Symbol('TLS files');
