/** Injection tokens of what is no class of this application. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
/** The open socket on which API processes accept, or null: this scheduler looks after none. */
export const LISTEN_SOCKET = Symbol('listening socket');
/** `PreemptionProof`. */
export const PREEMPTION = Symbol('preemption');
/** `LaneControl`, or null: another scheduler looks after the workers. */
export const LANE_CONTROL = Symbol('lane control');
